"""An agent's changes as records of its session, which ``segue.strands.manager`` asks for when a hook runs.

    locked              methods that one thread at a time may be in
    agent_records       records of one agent, made and queued
    agent_turns         whether the agent is in a turn, and on which thread
    agent_state         its state, its system prompt, and Strands' inner state of it
    model_connection    its model's connection
    tools               its tools, started and ended
    stash               what a context manager has taken out of its messages
    agent_messages      its list of messages
    seen_messages       its messages as they were last seen
    outside_messages    messages of the session that it does not hold
    message_ids         tracking ids, given to messages without one
    message_records     records of messages, and of their order
    message_redaction   a message's content, removed
    held_messages       what happens to its messages, compared and recorded
    recorder            all of one agent
    recorders           all agents of a session

A module imports only those above it, those of ``segue.strands`` that stand above this room there, and the rooms below.
"""
