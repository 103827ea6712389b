"""Requests to AWS services without botocore, whose import takes longer than all else of a cold start (RFC 0027).

    signing      signature version 4
    credentials  the process's credentials: from the environment, else as botocore finds them
    endpoints    the address of a service in a region
    retries      botocore's standard mode: which failures are tried again, after which pause
    service      DynamoDB and SQS by their JSON protocols
    clients      clients of both, made once a process, and conditional writes with them

Each module imports only modules that stand above it here. The tests compare each with botocore.
"""
