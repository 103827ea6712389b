"""One judge for all clients: a scripted server, a client behind a small line protocol, and cases that are data.

    case (JSON) ── steps ──▶ Play ── commands, JSON lines ──▶ program: the client under test
                              │                                  │        │
                              └── frames ──▶ Server ◀═ WebSocket ═        │
                                               └──▶ Judge ◀── shown ──────┘

docs/clients.md tells authors of clients how to take part.

    cases      what a case is, and how it is read
    program    the client under test, as a process
    judging    rules that hold in every case: on the wire, and for what was shown
    server     the scripted end of the wire
    playing    one case, step by step
    running    all cases side by side
    mutants    deliberate faults of the Python client, which the judge has to find
    python_client  the line protocol for segue.client
"""
