"""The gateway functions: what API Gateway calls for the routes of the WebSocket API.

    $connect    gateway.authorizer.handler   says who the caller is, by its token
                gateway.connect.handler      stores the connection with its principal
    $default    gateway.message.handler      reads a frame, finds the session's holder, posts the frame to it
    $disconnect gateway.disconnect.handler   forgets the connection

Beside them ``gateway.stopped.handler`` offers what a stopped task held, and ``gateway.keys.handler`` fetches the
issuer's keys for workers that cannot.

    environment  environment variables of these functions
    answers      what the message function says to a client itself
    workers      the registry of workers, read
    post         one frame, posted to a worker
    turns        frames of text sessions without a holder, queued for the text function
    tracing      Lambda's trace, for frames whose client began none
    claims       workers are asked to take a session
    dispatch     a frame's way to the holder: route, claim, post or queue
    router       a message's way: refused, answered here, or dispatched
    keys         entry point: the issuer's keys
    stopped      entry point: a task has stopped
    authorizer   entry point of ``$connect``: the caller's token is checked
    connect      entry point of ``$connect``: the connection is stored
    disconnect   entry point of ``$disconnect``
    message      entry point of ``$default``

Each module imports only modules that stand above it here.

Each handler reads its environment and makes its clients once, in ``dependencies``, and hands both to one function that
does the work. Nothing here imports Strands: these functions start cold in front of a user who waits.
"""
