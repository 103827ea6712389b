"""Parts that the gateway, the voice workers, the text function and the janitor share. It imports none of them.

    environment_problem  the error of a process that cannot run in its environment
    log                  the process's JSON logger
    background           tasks that no caller waits for, and the first of several
    metrics              counts and measures of the functions, as log lines (Embedded Metric Format)
    keep_alive           kept-alive HTTP connections, used again for a short time only
    aws/                 requests to AWS services without an SDK
    management           API Gateway's management API
    connections          the connections table
    registered_worker    workers in it, as the gateway and other workers read them
    encoding             messages for clients, of one frame or several
    subprotocol          the protocol's name and the token in ``Sec-WebSocket-Protocol``
    tokens               JSON Web Tokens of one issuer, checked against its published keys
    provider_errors      the kinds of providers' errors, and what a caller is told
    model_access         access to a text model, tried before it is needed
    agent_code           failures of the user's agent: logged, told to clients and to the model
    conversation/        from an agent's messages and events to frames
    ingress/             the way in for frames: limits, admission, routes

Each module imports only modules that stand above it here.
"""
