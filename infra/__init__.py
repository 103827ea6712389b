"""The AWS CDK app of the stack: everything that `cdk deploy` creates."""
