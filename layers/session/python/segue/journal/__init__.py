"""The journal of a session: records in S3 objects, committed with the guard item and read back.

    values, encoder   values of any type as JSON, with marks for what JSON lacks
    message_shape     messages, their tracking ids, and what stands in the place of a redacted one
    records           records as JSON
    inputs            clients' input that the guard item names as known
    record_queue      the queue of records in front of the commits
    blocks            segments, pages and volumes, the objects that hold records
    keys              the object keys of a session
    garbage           objects that nothing names any more
    redaction         content that leaves every object
    storage_requests  requests sent until storage answers them
    block_writer      segments, pages and volumes put as the holder
    volumes           pages bound into volumes
    reader            a session read, with or without its lease
    commit_lock       commits kept apart from releases and deletions
    committer         one commit: objects first, then the guard item
    waiters           waits for records to be durable
    writer            records appended, committed in groups, and durable

A module imports only those above it, and ``segue.lease`` and ``segue.storage``.
"""
