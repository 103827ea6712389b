"""The history of a session: its records folded into agents, and repaired where a crash cut them off.

    tool_uses      the tools that a session began and ended
    approvals      the questions that an interrupt asks a person, as records
    agent_history  agents, Graphs and Swarms, as the records leave them
    fold           records folded into the agents that they describe
    messages       messages and states, encoded, copied and compared
    repair         tool uses without results closed, so that providers accept the history
    pauses         stops on purpose, which a repair leaves alone
    order          the order of all messages, of which an agent holds some
    points         a session as it was at an earlier record
    damage         records that were read and cannot be used

A module imports only those above it, and ``segue.journal`` and what is below that.
"""
