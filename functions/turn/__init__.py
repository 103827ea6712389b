"""The text worker: a Lambda function that takes one turn of one session an invocation.

    message function ─▶ queue (FIFO, a group a session) ─▶ handler ─▶ turn_runner ─┬─ sessions ─▶ lease, journal, agent
                                                                                   └─ turn_outbox ─▶ clients

A turn acquires the session, restores it or goes on with what a warm process still has, runs the agent that
``worker.agent.build_text_agent`` makes, commits, says what is durable, and releases: a frozen function never holds.

    environment    environment variables of this function
    approvals      approvals of a turn's agent: their state, and the next step
    post           messages to clients through API Gateway's management API
    queue_message  one message of the queue, hidden from others while its turn is taken
    trial          the test invocation of a deployment, before a new version takes turns
    history        a session's messages as a text turn reads them
    turn_outbox    frames of a turn, in order, to each client
    sessions       sessions of this process: one is held, the last few are kept warm
    storage_pause  clients are told that a turn waits for storage
    turn_frames    ``ready``, records that a client lacks, and what becomes durable
    turn           one turn: the agent runs, and its answers become durable
    turn_runner    the way from a message to a turn: acquire, run, release
    handler        the entry point

Each module imports only modules that stand above it here.
"""
