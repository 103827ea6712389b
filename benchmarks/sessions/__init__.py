"""Segue's session manager beside those of Strands: ``python -m benchmarks.sessions``.

    bare_reads        the same reads without a session manager
    conversations     texts of the length that people and models speak in
    managers          the session managers, made alike
    histories         sessions with history, put where the managers find them
    holder            a process that holds sessions when it is told to
    idle_sessions     many sessions that say nothing: the cost of their leases
    measured_manager  one manager at one length of history, in a process of its own
    plot              the figures as a picture
    tables            the figures as tables
    handoffs          acquisitions, handoffs and takeovers between processes
    run               the whole run

Each module imports only modules that stand above it here.
"""
