"""Deletion of the objects of ended incarnations of sessions.

    counting      metrics of sweeps
    sweeper       deletion of an ended session's objects, and the search for orphans
    second_sweep  entry point, a queue with a delay: the incarnation once more, after an hour, for writes in flight
    ended         entry point, the lock table's stream: tombstones, TTL removals, new incarnations over expired items
    weekly        entry point, a schedule by way of a queue: incarnations in the bucket that no item names

Each module imports only modules that stand above it here.

An incarnation is known by its ``born``. Nothing here asks how old an object is to decide whether a session lives: it
lives if the guard item, read consistently *before its objects are deleted and after the incarnation was seen to
end*, is of that very incarnation and no tombstone; and an incarnation that ended never lives again.
"""
