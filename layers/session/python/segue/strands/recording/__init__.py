"""An agent's changes as records of its session, which ``segue.strands.manager`` asks for when a hook runs.

    seen_messages, held_messages    an agent's messages at the latest comparison, and their changes since
    stash                           what a context manager has taken out of the messages
    recorder, recorders             the changes of one agent, and of all, as records

A module imports only those above it, those of ``segue.strands`` that stand above this room there, and the rooms below.
"""
