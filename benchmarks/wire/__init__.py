"""The way from a client to the agent and back, on the local deployment: ``python -m benchmarks.wire``.

    echo_agent     an agent that says back what it hears
    figures        figures, and the tables that show them
    bare_gateway   the same gateway with a function that echoes: the floor
    plain_servers  plain WebSocket servers to compare with
    deployment     the local deployment that is measured
    callers        callers that cost the measuring process little
    import_times   import of each function's handler
    pauses         pauses of handoffs and takeovers
    many_sessions  many sessions on one worker process
    round_trips    one audio frame there and back
    plot           the figures as a picture
    run            the whole run

Each module imports only modules that stand above it here.
"""
