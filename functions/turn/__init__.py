"""The text worker: a Lambda function that takes one turn of one session an invocation.

    message function ─▶ queue (FIFO, a group a session) ─▶ handler ─▶ turns ─┬─ sessions ─▶ lease, journal, agent
                                                                             └─ speaker ──▶ clients

A turn acquires the session, restores it or goes on with what a warm process still has, runs the agent that
``worker.agent.build_text_agent`` makes, commits, says what is durable, and releases: a frozen function never holds.

``trial`` is what a deployment calls before a new version takes turns.
"""
