"""AWS as a worker calls it, off the audio path.

    signing           Signature version 4 for requests of the event loop
    kept_connections  HTTP/1.1 over kept-alive connections to one origin
    poster            posts to API Gateway connections
    claims_queue      the claims queue (SQS), asked from threads of its own

Each module imports only modules that stand above it here.
"""
