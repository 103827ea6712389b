"""The constructs, one capability each.

    log_groups   where lines go, and how long they are kept
    queues       encrypted queues with a dead-letter queue
    layers       the library and third-party code
    bedrock      the resources that a model's name stands for
    auth         who may connect: a user pool, or another issuer
    domain       an address of one's own for the WebSocket API
    storage      the bucket, the lock table, the connections table
    management   permission to write to clients through API Gateway
    tracing      who may write traces, and the sampling rate
    functions    one Lambda function of this repository
    network      the workers' network, and the message function's way to them
    claims       the claims queue
    scaling      as many workers as sessions need
    direct/      the load balancer and the workers' own sockets
    workers      the Fargate service that runs the workers
    gateway      the WebSocket API and its functions
    turns        the text function and its queue
    janitor      deletion of ended sessions
    stopped      sessions of stopped tasks are offered to the others
    web/         the page to talk on
    monitoring/  dashboard, alarms, saved queries

Each module imports only modules that stand above it here.
"""
