"""Settings of stages with the direct transport."""

from __future__ import annotations

CERTIFICATE = "arn:aws:acm:us-east-1:000000000000:certificate/01234567-0123-0123-0123-0123456789ab"
DOOR = {"direct_domain_name": "live.example.com", "direct_certificate_arn": CERTIFICATE}
ALONE = {"transport": "direct", "network": "private", "direct_zone_id": "Z0123456789", **DOOR}
"""No API, and tasks without addresses."""
BOTH = {"transport": "both", "direct_origins": "https://app.example.com", "direct_sockets": "99", **DOOR}
"""Both doors, and a website of one's own."""
VPC = {
    "vpc_id": "vpc-01234567",
    "vpc_zones": "us-east-1a,us-east-1b",
    "vpc_worker_subnets": "subnet-01234567,subnet-11234567",
}
FUNCTIONS = {"vpc_function_subnets": "subnet-21234567,subnet-31234567"}
BALANCERS = {"vpc_balancer_subnets": "subnet-41234567,subnet-51234567"}
"""A network that is there, and its subnets for functions and for the balancer."""
