"""One session of this process: the lease kept alive, records queued, the end in order.

    threads            the threads that storage is reached with
    listeners          callbacks for commits, losses and refusals, each on the event loop that it came from
    client_inputs      what the records contain of each client's input
    refused_values     values that were not recorded as they are
    weak_references    references that keep no agent alive
    options            what all session managers are given
    open_handles       the open sessions of this process, and how they end if they are not closed
    runtime            the storage loop of this process
    heartbeat          the lease kept alive, and what that depends on
    standby            a successor that has read the session before it acquires
    session            acquire, read, append, release
    slot               the session of a handle: none yet, a standby, or opened
    acquisition        a session acquired and read, or read in advance
    storage_calls      calls to the storage loop, and refusals as users know them
    properties         the side of a handle that does no I/O
    shared_opening     one opening for several callers
    context_manager    a handle as an ``async with`` block
    handle             what a session manager has of its session, from any thread

A module imports only those above it, and ``segue.history`` and what is below that.
"""
