"""What `cdk deploy` creates: the AWS CDK app of the stack."""
