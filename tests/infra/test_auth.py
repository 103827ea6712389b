"""Issuers of the tokens that admit a caller."""

from __future__ import annotations

import re

import pytest

from infra.constants import ROOT
from tests.infra.references import simplified


def variables(stage):
    function = stage.service.named("AWS::Lambda::Function", "GatewayAuthorizer")
    return {
        name: simplified(value)
        for name, value in function["Environment"]["Variables"].items()
        if name.startswith("SEGUE_TOKEN")
    }


def test_a_default_deployment_has_a_protected_user_pool(dev):
    pool = dev.data.named("AWS::Cognito::UserPool", "Users")
    assert pool["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}
    assert pool["DeletionProtection"] == "ACTIVE"
    assert pool["Policies"]["PasswordPolicy"]["MinimumLength"] >= 12
    assert pool["UsernameConfiguration"] == {"CaseSensitive": False}
    (resource,) = [each for each in dev.data.resources.values() if each["Type"] == "AWS::Cognito::UserPool"]
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    assert {"UserPoolId", "UserPoolClientId"} <= dev.data.outputs


def test_a_terminal_can_sign_in_and_keeps_no_secret(dev):
    client = dev.data.named("AWS::Cognito::UserPoolClient", "Client")
    assert set(client["ExplicitAuthFlows"]) == {
        "ALLOW_USER_SRP_AUTH",
        "ALLOW_USER_PASSWORD_AUTH",
        "ALLOW_REFRESH_TOKEN_AUTH",
    }
    assert client["GenerateSecret"] is False
    assert client["AllowedOAuthFlowsUserPoolClient"] is False
    assert client["PreventUserExistenceErrors"] == "ENABLED"
    assert client["EnableTokenRevocation"] is True
    assert client["AccessTokenValidity"] == 60


def test_the_authorizer_trusts_that_pool_and_its_client(dev):
    found = variables(dev)
    issuer = found["SEGUE_TOKEN_ISSUER"]
    assert issuer.startswith("https://cognito-idp.<AWS::Region>.<AWS::URLSuffix>/<Data.PublishOutputRefAuthUsers")
    assert found["SEGUE_TOKEN_KEYS_URL"] == f"{issuer}/.well-known/jwks.json"
    assert found["SEGUE_TOKEN_AUDIENCE"].startswith("<Data.PublishOutputRefAuthUsersClient"), "test_web has the page's"


def test_locally_the_issuer_is_this_machines(local):
    assert variables(local)["SEGUE_TOKEN_ISSUER"] == "https://issuer.segue.local"
    assert variables(local)["SEGUE_TOKEN_AUDIENCE"] == "segue"
    assert local.data.of_type("AWS::Cognito::UserPool") == {}


@pytest.mark.parametrize("keys", [None, "https://login.example/keys"])
def test_a_configured_issuer_replaces_the_user_pool(synthesized, keys):
    settings = {"auth": "oidc", "auth_issuer": "https://login.example", "auth_audience": "a,b"}
    stage = synthesized(**settings, **({"auth_jwks_url": keys} if keys else {}))
    assert variables(stage) == {
        "SEGUE_TOKEN_ISSUER": "https://login.example",
        "SEGUE_TOKEN_AUDIENCE": "a,b",
        "SEGUE_TOKEN_KEYS_URL": keys or "https://login.example/.well-known/jwks.json",
    }
    assert stage.data.of_type("AWS::Cognito::UserPool") == {}
    assert "UserPoolId" not in stage.data.outputs


def test_the_page_on_deploying_makes_a_user_that_the_pool_takes(dev):
    """Cognito refuses an e-mail address as the name of a user where it is an alias.

    https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-attributes.html
    """
    text = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    (pool,) = dev.data.of_type("AWS::Cognito::UserPool").values()
    assert pool["AliasAttributes"] == ["email"]
    names = re.findall(r"--username (\S+)", text) + re.findall(r"USERNAME=([^,\"]+)", text)
    assert set(names) == {"alice"}
    assert pool["Policies"]["PasswordPolicy"]["MinimumLength"] == 12
    (client,) = dev.data.of_type("AWS::Cognito::UserPoolClient").values()
    (flow,) = re.findall(r"--auth-flow (\S+)", text)
    assert f"ALLOW_{flow}" in client["ExplicitAuthFlows"]


def test_the_page_on_deploying_reads_outputs_that_are_there(dev):
    text = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    read = re.findall(r"\$\(output (Data|Web|Service) (\w+)\)", text)
    signing_in = {"UserPoolId", "UserPoolClientId", "WebSocketUrl"}
    left_over = {"BucketName", "LockTableName", "ConnectionsTableName", "UserPoolId", "PageBucketName"}
    assert {name for _, name in read} == signing_in | left_over
    stacks = {"Data": dev.data, "Web": dev.web, "Service": dev.service}
    assert all(name in stacks[stack].content["Outputs"] for stack, name in read)
