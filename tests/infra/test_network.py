from __future__ import annotations

WORKER_PORT = 8080


def subnets(stage, kind):
    found = stage.service.of_type("AWS::EC2::Subnet")
    tag = {"Key": "aws-cdk:subnet-type", "Value": kind}
    return {name for name, each in found.items() if tag in each["Tags"]}


def test_no_gateway_that_is_paid_for_by_the_hour(stage):
    stage.service.template.resource_count_is("AWS::EC2::NatGateway", 0)
    stage.service.template.resource_count_is("AWS::EC2::EIP", 0)
    assert {each["VpcEndpointType"] for each in stage.service.of_type("AWS::EC2::VPCEndpoint").values()} == {"Gateway"}


def test_gateway_endpoints_serve_every_subnet(stage):
    endpoints = stage.service.of_type("AWS::EC2::VPCEndpoint").values()

    services = {each["ServiceName"]["Fn::Join"][1][-1] for each in endpoints}
    assert services == {".s3", ".dynamodb"}
    for endpoint in endpoints:
        assert len(endpoint["RouteTableIds"]) == len(stage.service.of_type("AWS::EC2::RouteTable"))


def test_the_message_function_is_inside_with_a_way_out_over_ipv6(dev):
    message = dev.service.named("AWS::Lambda::Function", "GatewayMessage")

    assert message["VpcConfig"]["Ipv6AllowedForDualStack"] is True
    private = subnets(dev, "Private")
    assert {each["Ref"] for each in message["VpcConfig"]["SubnetIds"]} == private
    assert len(private) == 2
    address = message["Environment"]["Variables"]["AWS_ENDPOINT_URL_SQS"]
    assert address == {"Fn::Join": ["", ["https://sqs.", {"Ref": "AWS::Region"}, ".api.aws"]]}
    (gateway,) = dev.service.of_type("AWS::EC2::EgressOnlyInternetGateway")
    ways_out = [
        each for each in dev.service.of_type("AWS::EC2::Route").values() if "EgressOnlyInternetGatewayId" in each
    ]
    assert [each["DestinationIpv6CidrBlock"] for each in ways_out] == ["::/0", "::/0"]
    assert {each["EgressOnlyInternetGatewayId"]["Ref"] for each in ways_out} == {gateway}


def test_the_other_functions_stay_outside(dev):
    for name in ("Connect", "Disconnect"):
        assert "VpcConfig" not in dev.service.named("AWS::Lambda::Function", f"Gateway{name}")


def test_only_the_message_function_and_other_workers_reach_a_worker(dev):
    groups = dev.service.of_type("AWS::EC2::SecurityGroup")
    assert not [name for name, each in groups.items() if "SecurityGroupIngress" in each]
    ingress = dev.service.of_type("AWS::EC2::SecurityGroupIngress").values()

    sources = set()
    for rule in ingress:
        assert (rule["FromPort"], rule["ToPort"], rule["IpProtocol"]) == (WORKER_PORT, WORKER_PORT, "tcp")
        assert "WorkerGroup" in rule["GroupId"]["Fn::GetAtt"][0]
        sources.add(rule["SourceSecurityGroupId"]["Fn::GetAtt"][0])
    assert len(ingress) == len(sources) == 2
    assert any("MessageGroup" in each for each in sources)
    assert any("WorkerGroup" in each for each in sources)


def test_the_message_function_goes_to_workers_and_to_aws_only(dev):
    group = dev.service.named("AWS::EC2::SecurityGroup", "MessageGroup")
    to_workers = dev.service.of_type("AWS::EC2::SecurityGroupEgress").values()

    assert {(each["FromPort"], each["ToPort"]) for each in group["SecurityGroupEgress"]} == {(443, 443)}
    assert {(each["FromPort"], each["ToPort"]) for each in to_workers} == {(WORKER_PORT, WORKER_PORT)}


def test_workers_have_addresses_of_their_own(stage):
    (service,) = stage.service.of_type("AWS::ECS::Service").values()
    network = service["NetworkConfiguration"]["AwsvpcConfiguration"]

    assert network["AssignPublicIp"] == "ENABLED"
    assert {each["Ref"] for each in network["Subnets"]} == subnets(stage, "Public")
    # Not before there is a way out: a task that cannot fetch its image fails the deployment.
    (name,) = [name for name, each in stage.service.resources.items() if each["Type"] == "AWS::ECS::Service"]
    kinds = {stage.service.resources[each]["Type"] for each in stage.service.resources[name]["DependsOn"]}
    assert "AWS::EC2::Route" in kinds
