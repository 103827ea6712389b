"""Preflight: the account is asked, before a deployment, for everything that the chosen settings need.

context    the settings, as a synthesis reads them
needs      quotas that they use at their most
account    questions to AWS, and why there is no answer
findings   one line of the report
identity, bootstrap, roles, models, secret, quotas, images, network (routes), domain, traces
           the checks
run        all of them side by side
table      the report
"""
