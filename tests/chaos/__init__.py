"""Calls on the real thing, in bad weather: processes are deployed anew, killed and stopped, and every hop is unkind.

    caller ══ SocketRelay ══ gateway (emulator, Lambda) ── HttpRelay ── worker ── HttpRelay ── S3, DynamoDB, SQS
                                                                         └────── HttpRelay ── @connections

`python -m tests.chaos --help` runs as much of it as wanted; a small run is part of the tests.
"""
