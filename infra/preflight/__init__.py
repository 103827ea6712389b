"""Preflight: the account is asked, before a deployment, for everything that the chosen settings need.

    account    questions to AWS, and why there is no answer
    findings   one line of the report, and the report
    context    the settings, as a synthesis reads them
    needs      quotas that they use at their most
    routes     how a subnet leads out
    identity   check: credentials and region
    bootstrap  check: the CDK's bootstrap, and stacks left half-made
    roles      check: service-linked roles
    models     check: the models are open to this account
    secret     check: the provider's key
    quotas     check: the account's quotas beside the needs
    images     check: what this machine builds
    network    check: addresses and ways out
    domain     check: certificate, zone, record
    traces     check: X-Ray takes traces
    replaced   check: workers that the deployment would replace
    run        all checks side by side

Each module imports only modules that stand above it here.
"""
