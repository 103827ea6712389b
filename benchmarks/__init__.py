"""Measurements of speed, memory and cost, none of them a test. docs/benchmarks.md and docs/scale.md show the figures.

    measuring/   what every run uses: stall and lag meters, request metering, figures, prices, targets
    sessions/    ``python -m benchmarks.sessions``: session managers side by side, one process a cell
    wire/        ``python -m benchmarks.wire``: from a client to the agent and back, pauses, crowded workers
    scale/       ``python -m benchmarks.scale``: what a deployment costs and which quota binds, on paper

Imports: measuring <- sessions, wire, scale.
"""
