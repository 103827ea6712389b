"""The way in for frames: parts that API Gateway's functions and the workers' own WebSockets share.

    default_limits   default limits of one principal and of one connection
    admission        sessions that a principal has open, counted
    binding          the session and client that a connection's ``hello`` names
    routes           the holder of a session, by its lease
    suspects         routes that have not answered
    handoffs         sessions that are left to their successors
    recent_claims    claims that were made a moment ago
    frame_needs      frames that need a holder, and those that wait for one
    outcomes         outcomes of posting a frame to a holder
    repeated_errors  errors that a connection is told once a second at most

Each module imports only modules that stand above it here.
"""
