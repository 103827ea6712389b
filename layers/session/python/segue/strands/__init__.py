"""Session managers for Strands Agents. This is the only room that imports Strands' private names.

    errors                     errors that are Strands' ``SessionException`` too
    built_agent, stash         Strands' own state of an agent, besides its messages and its state
    seen_messages, held_messages    an agent's messages at the latest comparison, and their changes since
    interrupts                 voice agents whose hooks would interrupt them, refused
    approvals                  the questions of an interrupted agent, while a manager has it
    recorder, recorders        the changes of one agent, and of all, as records
    multi_agents               Graphs and Swarms
    manager                    the hooks of a session manager
    s3, file                   the managers that users construct
    carrier, sources, strands_json, transfer, transfer_multi_agents    to and from Strands' own layouts

A module imports only those above it, and ``segue.session`` and what is below that.
"""
