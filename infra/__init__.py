"""The AWS CDK app of the stack: everything that ``cdk deploy`` creates."""

from __future__ import annotations

import os

from infra.node import OLD

# One line of ours (infra.node) takes the place of the banner that jsii prints at each start.
os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", ",".join(OLD))
