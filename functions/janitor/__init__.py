"""Deletes the objects of sessions whose life has ended.

    ended    the lock table's stream: tombstones, TTL removals, and new lives over expired items
    again    a queue with a delay: the same life once more, after an hour, for writes that were on their way
    weekly   a schedule, by way of a queue: lives in the bucket that no item knows, whatever was missed

A life is known by its ``born``. Nothing here asks how old an object is to decide whether a session lives: it
lives if the guard item, read consistently *before its objects are deleted and after the life was seen to
end*, is of that very life and no tombstone; and a life that ended never lives again.
"""
