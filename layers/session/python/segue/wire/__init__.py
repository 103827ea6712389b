"""The wire protocol, version 1: frames, their encoding, and the numbering that makes them exactly once and in order.

Nothing here does I/O and nothing reads a clock: time comes in as an argument, in seconds on the caller's own monotonic
clock. The gateway functions, the workers and the client library share these modules, so none of them imports Strands or
boto3.

- ``segue.wire.frames``: what client and server say to each other, and how it is encoded
- ``segue.wire.binary``: audio as binary messages, where the transport takes them
- ``segue.wire.images``, ``.audio``, ``.rate``: images in parts, the length of pieces of audio, frames a second
- ``segue.wire.cutting``: texts that are too long for a message
- ``segue.wire.delivery``: what the gateway posts to a worker
- ``segue.wire.claims``: what the gateway asks of the workers when a session has no holder
- ``segue.wire.sender``, ``.sequence``: input numbering, client to worker (``Sender``, ``Receiver``)
- ``segue.wire.output``: output numbering, worker to client (``OutputNumbering``, ``OutputOrder``)

- ``segue.wire.schema``: all of it for machines

The reference for other languages is docs/protocol.md.
"""
