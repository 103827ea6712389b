from __future__ import annotations

FUNCTIONS = {"Authorizer", "Connect", "Message", "Disconnect"}
OUTPUTS = {
    "WebSocketUrl",
    "ManagementEndpoint",
    "ApiId",
    "StageName",
    "ClaimsQueueUrl",
    "WorkerServiceName",
    "ClusterName",
    "WorkerVersion",
    "WorkerParts",
}
ENVIRONMENT = {
    "SEGUE_STAGE",
    "SEGUE_LOCK_TABLE",
    "SEGUE_CONNECTIONS_TABLE",
    "SEGUE_CLAIMS_QUEUE_URL",
    "POWERTOOLS_SERVICE_NAME",
    "LOG_LEVEL",
}


def functions(stage):
    return {name: stage.service.named("AWS::Lambda::Function", f"Gateway{name}") for name in FUNCTIONS}


def routes(stage):
    return {each["RouteKey"]: each for each in stage.service.of_type("AWS::ApiGatewayV2::Route").values()}


def test_service_stack_has_these_outputs(stage):
    assert stage.service.outputs == OUTPUTS


def test_the_three_routes_lead_to_their_functions(stage):
    assert set(routes(stage)) == {"$connect", "$default", "$disconnect"}
    for key, name in {"$connect": "Connect", "$default": "Message", "$disconnect": "Disconnect"}.items():
        integration = stage.service.resources[routes(stage)[key]["Target"]["Fn::Join"][1][1]["Ref"]]["Properties"]
        assert integration["IntegrationType"] == "AWS_PROXY"
        (entry,) = [part for part in integration["IntegrationUri"]["Fn::Join"][1] if "Gateway" in str(part)]
        assert f"Gateway{name}" in str(entry)


def test_the_api_is_a_websocket_api_with_one_stage(stage):
    (api,) = stage.service.of_type("AWS::ApiGatewayV2::Api").values()
    (deployed,) = stage.service.of_type("AWS::ApiGatewayV2::Stage").values()

    assert api["ProtocolType"] == "WEBSOCKET"
    assert (deployed["StageName"], deployed["AutoDeploy"]) == (stage.config.stage, True)


def test_connect_route_requires_the_authorizer(stage):
    assert {key: route["AuthorizationType"] for key, route in routes(stage).items()} == {
        "$connect": "CUSTOM",  # the others belong to a connection that was let in
        "$default": "NONE",
        "$disconnect": "NONE",
    }
    ((name, authorizer),) = stage.service.of_type("AWS::ApiGatewayV2::Authorizer").items()
    assert routes(stage)["$connect"]["AuthorizerId"] == {"Ref": name}
    assert authorizer["AuthorizerType"] == "REQUEST"
    assert "GatewayAuthorizer" in str(authorizer["AuthorizerUri"])


def test_no_result_of_the_authorizer_is_kept_for_another_caller(stage):
    """Results of WebSocket authorizers are not cached, and the token may be in either of two places."""
    (authorizer,) = stage.service.of_type("AWS::ApiGatewayV2::Authorizer").values()
    assert authorizer["IdentitySource"] == []
    assert "AuthorizerResultTtlInSeconds" not in authorizer


def test_only_the_api_calls_the_authorizer(stage):
    (permission,) = [
        each
        for each in stage.service.of_type("AWS::Lambda::Permission").values()
        if "GatewayAuthorizer" in str(each["FunctionName"])
    ]
    assert permission["Principal"] == "apigateway.amazonaws.com"
    (name,) = stage.service.of_type("AWS::ApiGatewayV2::Authorizer")
    assert permission["SourceArn"]["Fn::Join"][1][-2:] == ["/authorizers/", {"Ref": name}]


def test_the_authorizer_is_outside_the_network_and_has_layers_of_its_own(stage):
    authorizer = functions(stage)["Authorizer"]
    assert "VpcConfig" not in authorizer
    assert "VpcConfig" not in functions(stage)["Connect"]
    layers = {name: {each["Ref"] for each in function["Layers"]} for name, function in functions(stage).items()}
    assert layers["Connect"] == layers["Message"] == layers["Disconnect"]
    assert len(layers["Authorizer"] & layers["Connect"]) == 1
    assert any("LayersAuthorizer" in each for each in layers["Authorizer"])
    assert not any("LayersAuthorizer" in each for each in layers["Connect"])


def test_a_flood_ends_at_the_stage(stage):
    (deployed,) = stage.service.of_type("AWS::ApiGatewayV2::Stage").values()
    assert deployed["DefaultRouteSettings"] == {
        "ThrottlingRateLimit": 2 * 10 * 40 * 10,  # of all sessions at the most
        "ThrottlingBurstLimit": 10 * 40 * 10,
    }


def test_no_route_has_a_response_or_a_client_would_get_a_message_for_each_frame(stage):
    assert not stage.service.of_type("AWS::ApiGatewayV2::RouteResponse")
    assert not [each for each in routes(stage).values() if "RouteResponseSelectionExpression" in each]
    for each in stage.service.of_type("AWS::ApiGatewayV2::Integration").values():
        assert "TemplateSelectionExpression" not in each
    assert not stage.service.of_type("AWS::ApiGatewayV2::IntegrationResponse")


def test_the_message_function_reaches_the_connections(dev, synthesized):
    """By IPv6, the only way to a public address that it has in a VPC of the stack's own."""
    variables = functions(dev)["Message"]["Environment"]["Variables"]
    assert "execute-api" in str(variables["SEGUE_MANAGEMENT_ENDPOINT"])
    (api,) = dev.service.of_type("AWS::ApiGatewayV2::Api").values()
    assert api["IpAddressType"] == "dualstack"
    assert functions(dev)["Message"]["VpcConfig"]["Ipv6AllowedForDualStack"] is True
    text = synthesized(workers="text")
    (api,) = text.service.of_type("AWS::ApiGatewayV2::Api").values()
    assert "IpAddressType" not in api, "functions of a deployment of text alone are in no VPC"
    assert "VpcConfig" not in functions(text)["Message"]


def test_gateway_functions_have_their_handlers_and_environment(stage):
    for name, function in functions(stage).items():
        assert function["Handler"] == f"gateway.{name.lower()}.handler"
        variables = set(function["Environment"]["Variables"])
        if name == "Authorizer":
            tokens = {"SEGUE_TOKEN_ISSUER", "SEGUE_TOKEN_AUDIENCE", "SEGUE_TOKEN_KEYS_URL"}
            assert variables == tokens | {"SEGUE_STAGE", "POWERTOOLS_SERVICE_NAME", "LOG_LEVEL"}
            continue
        extra = {"SEGUE_TURNS_QUEUE_URL", "SEGUE_MANAGEMENT_ENDPOINT"} if name == "Message" else set()
        inside = {"AWS_ENDPOINT_URL_SQS"} if (name, stage.config.stage) == ("Message", "dev") else set()
        assert variables == ENVIRONMENT | extra | inside


def test_functions_share_code_and_layers(stage):
    found = functions(stage).values()

    assert {function["Runtime"] for function in found} == {"python3.13"}
    assert {tuple(function["Architectures"]) for function in found} == {(stage.config.architecture,)}
    assert len({str(function["Code"]) for function in found}) == 1
    for function in found:
        layers = [each["Ref"] for each in function["Layers"]]
        assert any("Session" in each for each in layers)
        assert any("LayersDependencies" in each or "LayersAuthorizer" in each for each in layers)
        assert function["Timeout"] < 29  # as long as API Gateway waits


def test_functions_ship_the_gateway_only(stage):
    (code,) = {function["Code"]["S3Key"].removesuffix(".zip") for function in functions(stage).values()}
    shipped = stage.service.folder / f"asset.{code}"

    assert {each.relative_to(shipped).parts[0] for each in shipped.rglob("*")} <= {"gateway", "shared"}
    assert not [each for each in shipped.rglob("*") if each.name == "__pycache__"]


def test_every_function_logs_to_a_group_with_an_end(stage):
    groups = stage.service.of_type("AWS::Logs::LogGroup")

    names = {group["LogGroupName"].removeprefix(f"/segue/{stage.config.stage}/") for group in groups.values()}
    routes_of = {f"gateway/{name.lower()}" for name in FUNCTIONS}
    assert names == routes_of | {
        "gateway/stopped",
        "worker",
        "turn/handler",
        "janitor/ended",
        "janitor/again",
        "janitor/weekly",
    } | ({"cdk/default-security-group", "cdk/settings", "cdk/trial"} if stage.config.stage == "dev" else set())
    assert {group["RetentionInDays"] for group in groups.values()} == {stage.config.log_retention_days}
    for function in functions(stage).values():
        assert function["LoggingConfig"]["LogGroup"]["Ref"] in groups


def test_a_claim_that_no_worker_can_serve_ends_in_the_dead_letter_queue(stage):
    queue = stage.service.named("AWS::SQS::Queue", "ClaimsQueue")

    assert queue["VisibilityTimeout"] == 30
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 5
    assert "DeadLetters" in queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]


def test_every_queue_is_encrypted_and_reached_by_tls_only(stage):
    queues = stage.service.of_type("AWS::SQS::Queue")
    assert {each["SqsManagedSseEnabled"] for each in queues.values()} == {True}
    refused = set()
    for policy in stage.service.of_type("AWS::SQS::QueuePolicy").values():
        for statement in policy["PolicyDocument"]["Statement"]:
            if statement["Effect"] == "Deny":
                assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
                refused |= {each["Ref"] for each in policy["Queues"]}
    assert refused == set(queues)
