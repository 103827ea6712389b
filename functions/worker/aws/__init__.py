"""AWS as a worker calls it without boto3's threads in the audio path.

signing        Signature version 4 for requests that aiohttp sends
poster         posts to API Gateway connections
claims_queue   the claims queue (SQS), asked from threads of its own
"""
