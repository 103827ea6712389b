"""The direct transport: clients' WebSockets at the workers themselves, behind a Network Load Balancer (RFC 0026).

    client ══▶ any worker's socket ─┬─ the session is held here ──▶ session
                                    └─ held elsewhere ──POST /frames──▶ holder
    client ◀══ socket ◀─┬─ holder is here ── poster
                        └─ POST /sockets/<id> ── poster of another worker

    times           time limits that a process may be given
    sockets         the open sockets of this process
    output_routes   output of other workers' sessions for sockets of this one
    poster          posts to clients: here, at another worker, or through API Gateway
    rows            addresses and counts of sockets in the connections table
    claiming        a worker for a session that has none: this one, another, or the queue's
    forwarding      frames to the holder of their session
    router          one message of a socket, and what its client is told at once
    handshake       the token, the page and the places, before a socket opens
    socket_server   the server that takes upgrades
    issuer_keys     the keys that tokens are checked with, also where this process cannot reach the issuer
    following       sessions go to where their client's socket is
    transport       all of these, wired once for a process

Each module imports only modules that stand above it here.
"""
