"""Calls on the real thing, under faults: processes are deployed anew, killed, stopped and cut off from storage.

    caller ══ SocketRelay ══ gateway (emulator, Lambda) ── HttpRelay ── worker ── HttpRelay ── S3, DynamoDB, SQS
                   │                   └──── S3, DynamoDB, SQS, keys      └────── HttpRelay ── @connections
                 Wire: judges what came

Faults are on all hops with a relay; the requests of the functions themselves have none.
``python -m tests.chaos --help`` runs as much of it as wanted; a small run is part of the tests.
"""
