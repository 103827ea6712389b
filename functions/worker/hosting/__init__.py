"""The sessions of one worker process: how they come, and how they go.

    deployments      which deployment began last
    registry         the workers' items in the connections table
    peer_http        HTTP to the other workers, over connections that are kept
    peer_health      how another worker is, and whether it hangs
    holder_probe     evidence that the process that a lease names is gone, or hung
    successors       the workers that a draining one hands sessions to
    search_beside    a post to a holder, and the search for another one beside it
    readiness        whether the stores answer
    standby          sessions made ready for a predecessor that still holds them
    stopwatch        how long each part of an opening took
    opening          a claim's way to a session that is open here
    recent_handoffs  sessions that were released to a successor a moment ago
    host             the sessions of this process, by key
    claims           claims, from the queue and straight from other processes
    handoff          one session, passed to its successor
    drain            SIGTERM: all sessions are handed over, and the process ends

Each module imports only modules that stand above it here.
"""
