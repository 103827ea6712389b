"""The direct transport: a load balancer, and workers that take WebSockets themselves (RFC 0026).

    client ══TLS══▶ Network Load Balancer ──TCP──▶ worker, port 8443 ──(port 8080)──▶ the worker that holds the session

    keys              a function that fetches the issuer's keys for workers that cannot
    worker_transport  what workers are told about it: variables and permissions
    balancer          load balancer, listener, target group, address record

Each module imports only modules that stand above it here.
"""
