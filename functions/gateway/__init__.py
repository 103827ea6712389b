"""The gateway functions: what API Gateway calls for the routes of the WebSocket API.

    $connect    gateway.authorizer.handler   says who the caller is, by its token
                gateway.connect.handler      stores the connection with its principal
    $default    gateway.message.handler      reads a frame, finds the session's holder, posts the frame to it
    $disconnect gateway.disconnect.handler   forgets the connection

Beside them ``gateway.stopped.handler`` offers what a stopped task held, and ``gateway.keys.handler`` fetches the
issuer's keys for workers that cannot.

Each handler reads its environment and makes its clients once, in ``dependencies``, and hands both to one function that
does the work. Nothing here imports Strands: these functions start cold in front of a user who waits.
"""
