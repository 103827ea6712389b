"""One hosted conversation, from its clients' input to their output.

    session_manager   the session manager as a worker uses it
    lease_hold        the session's hold on its lease
    turn_boundary     moments between turns
    model_start       starting the model with the history
    input/            from clients' frames to the agent
    barge_in          shortening an interrupted answer to what was heard
    output_gate       journal content leaves when it is durable
    waiting_frames    what waits for one connection, bounded
    outbox            one connection: one POST at a time
    audience          all clients, and what waits for each
    output            from the agent's events to each client's queue
    parts             all of these, wired once for a conversation
    lifecycle         its states, from its opening to its end
    session           one conversation, from its start to its end

Each module imports only modules that stand above it here.
"""
