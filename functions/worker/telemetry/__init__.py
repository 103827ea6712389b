"""Observability of a worker.

    metrics         counts and measures for CloudWatch
    blocked_loop    code that blocks the event loop, named and counted
    stall_answers   answers of ``/health`` while it is blocked
    tracing         one trace from a client's frame to the model and back (OpenTelemetry)

Of these only ``blocked_loop`` imports another, ``metrics``.
"""
