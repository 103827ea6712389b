"""The lease of a session: one guard item in the lock table, and the conditional writes that decide who may write.

    item_check     limits that the attributes of a guard item keep
    item           the guard item, as data
    item_reader    a guard item read, checked, and judged by storage's own time
    transitions    the conditional writes: acquire, heartbeat, commit, release, delete
    holder_watch   the watch over a holder, before an acquisition may be tried
    waiting        a wait for a session that another holder has
    settings       durations of a lease
    fencing        the loser of a conditional write, told of the winner
    attempts       attempts to acquire a lease, until one is accepted
    lease          acquire, keep, release: the object that a process holds

A module imports only those above it, and ``segue.storage``. Nothing here knows objects, records or Strands.
"""
