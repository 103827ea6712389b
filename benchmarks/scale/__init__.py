"""A simulated load, priced and held against quotas: ``python -m benchmarks.scale``.

    commits  commits of silence, and heartbeats
    load     the simulated callers, and what they ask of AWS
    bounds   calls at once that an account's quotas allow
    direct   the direct transport at the same load
    run      the tables

Each module imports only modules that stand above it here.
"""
