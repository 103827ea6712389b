"""Storage of sessions: an interface for guard items, one for objects, and their implementations.

    attributes     an item's attributes, plain and in DynamoDB's form
    interface      conditional writes on one item, and whole objects
    stores         the stores of one session
    answers        the errors of AWS, and whether each leaves the outcome unknown
    clients        boto3 clients, shared by sessions
    aws            DynamoDB and S3
    durable_files  files that are complete or not there, and locks on them
    file           a directory
    memory         dictionaries, for tests

A module imports only those above it, and ``segue.errors`` and ``segue.clock``.
"""
