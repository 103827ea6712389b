"""The connection of a conversation's model: opened with the history, replaced when it is lost.

    reconnect_limits    how many lost connections are replaced, and after which delay
    activity            whether something is under way on a connection
    renewal             renewal in a silence, before the time limit
    resending           input that a new connection is sent again
    history             a conversation cut to what a provider takes
    fallbacks           handle, history, tools: the next best after a refusal
    resumption_handles  handles by which a connection goes on
    connector           a connection with the best that the provider takes
    event_pump          a model's events, read in one task
    standby_connection  a connection that is open before its agent starts
    model_connection    all of these: opened, taken over, closed
    lost_connections    what the end of a connection means: another one, or an outage

Each module imports only modules that stand above it here, and of ``worker.providers`` only ``counters``, ``errors``,
``table`` and ``settings``.
"""
