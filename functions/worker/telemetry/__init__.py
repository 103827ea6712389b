"""Observability of a worker.

    metrics   counts and measures for CloudWatch
    tracing   one trace from a client's frame to the model and back (OpenTelemetry)

Neither imports the other.
"""
