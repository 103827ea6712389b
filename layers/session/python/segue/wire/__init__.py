"""The wire protocol, version 1: frames, their encoding, and the numbering that makes them exactly once and in order.

Nothing here does I/O and nothing reads a clock: time comes in as an argument, in seconds on the caller's own monotonic
clock. The gateway functions, the workers and the client library share these modules, so none of them imports Strands or
boto3.

    fields         limits of fields and of a frame's size
    codes          error codes
    claims         what the gateway asks of workers for a session without a holder
    client_frames  frames of a client
    server_frames  frames of the server
    audio          limits on pieces of audio, and their loudness
    images         images in parts, put together
    rate           frames a second: kept by a sender, enforced by a receiver
    receiver       input numbering at the worker (``Receiver``)
    sender         input numbering at the client (``Sender``)
    json_codec     frames as JSON messages, and back
    memory         memory that kept frames take
    schema         the protocol as an AsyncAPI document
    binary         audio as binary messages, where the transport takes them
    cutting        frames that are too long for a message
    frames         all frames and their encoding, in one place
    delivery       a frame as the gateway posts it to a worker
    output         output numbering at the worker and at the client (``OutputNumbering``, ``OutputOrder``)

    sequence/, encoding/, trace/    former paths of ``receiver``, ``json_codec`` and ``fields.trace_id``

Each module imports only modules that stand above it here.

The reference for other languages is docs/protocol.md.
"""
