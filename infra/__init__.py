"""The AWS CDK app of the stack: everything that ``cdk deploy`` creates.

    constants             facts about this repository that are not settings
    targets               differences between AWS and the emulator
    node                  the Node.js that runs the CDK, checked
    setting_fields        kinds of settings: bounds, and the error that refuses a value
    settings              the settings in groups, each with its bounds
    setting_combinations  settings that are wrong only together
    stages                settings of each stage, from ``cdk.json``
    config                ``Config``: all settings, read from the context and checked
    agent_check           ``agent.py``, tried at synthesis
    dependencies          third-party code of the functions' layers
    worker_version        names of what the workers run: a new one replaces them
    nag_findings          findings of cdk-nag that are meant to be so, each with its reason
    configuration_page    writes docs/configuration.md
    environment_page      writes the table in docs/running-elsewhere.md
    dashboard_picture     the dashboard as a picture
    grafana               the dashboard for Grafana
    constructs/           one capability each
    stacks/               data, web, service: they only compose constructs
    preflight/            questions to the account before a deployment
    app                   the CDK app, which ``cdk.json`` names
    nag                   the CDK app under cdk-nag's rules

Each module imports only modules that stand above it here.
"""

from __future__ import annotations

import os

from infra.node import END_OF_LIFE

# One line of ours (infra.node) takes the place of the banner that jsii prints at each start.
os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", ",".join(END_OF_LIFE))
