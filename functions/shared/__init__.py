"""Parts that the gateway, the voice workers, the text function and the janitor share. It imports none of them.

    log                the process's JSON logger
    background         tasks that no caller waits for, and the first of several
    metrics            counts and measures of the functions, as log lines (Embedded Metric Format)
    keep_alive         kept-alive HTTP connections, used again for a short time only
    aws/               requests to AWS services without an SDK
    clients            AWS clients, made once a process, and conditional writes with them
    management         API Gateway's management API
    connections        the connections table
    registered_worker  workers in it, as the gateway and other workers read them
    encoding           messages for clients, of one frame or several
    principal          the one name that a caller's sessions are kept under
    subprotocol        the protocol's name and the token in ``Sec-WebSocket-Protocol``
    tokens             JSON Web Tokens of one issuer, checked against its published keys
    messages           facts of a session's messages: kind, text, unanswered words
    record_positions   the journal record that a message or a frame belongs to
    approvals          approvals of tools, as frames
    agent_code         failures of the user's agent: logged, told to clients and to the model
    agent_frames       frames for clients, made from an agent's events
    history_pages      pages of a session's conversation
    ingress/           the way in for frames: limits, admission, routes

Each module imports only modules that stand above it here.
"""
