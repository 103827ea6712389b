"""The CDK app under cdk-nag's AwsSolutions rules: a finding without a reason ends the synthesis.

npx cdk synth --quiet --app '.venv/bin/python -m infra.nag'
"""

from __future__ import annotations

from cdk_nag import AwsSolutionsChecks

from infra.app import main

if __name__ == "__main__":
    main(AwsSolutionsChecks)
