"""The page to talk on: private files, headers, sign-in, and the settings file that comes last."""

from __future__ import annotations

import json

import pytest

from infra.config import from_context
from infra.constants import ROOT
from infra.constructs.web.built import PageMissingError, built_page
from infra.setting_fields import ConfigurationError
from tests.infra.references import simplified
from tests.infra.test_order import before

OIDC = {"auth": "oidc", "auth_issuer": "https://login.example/tenant", "auth_audience": "segue"}
CERTIFICATE = "arn:aws:acm:us-east-1:000000000000:certificate/01234567-0123-0123-0123-0123456789ab"


@pytest.fixture(scope="module")
def oidc(synthesized):
    """Another issuer, whose tokens come from elsewhere, and a domain of one's own."""
    return synthesized(
        **OIDC,
        web_client_id="page-1",
        web_login_origins="https://tokens.example,https://keys.example:8443",
        domain_name="voice.example.com",
        domain_certificate_arn=CERTIFICATE,
        workers="text",
    )


def one(stack, kind):
    (found,) = stack.of_type(kind).values()
    return found


def policies(stage):
    """Headers by the path that has them."""
    resources = stage.web.resources
    content = one(stage.web, "AWS::CloudFront::Distribution")["DistributionConfig"]
    behaviors = {"/": content["DefaultCacheBehavior"]} | {
        each["PathPattern"]: each for each in content["CacheBehaviors"]
    }
    return {
        path: resources[each["ResponseHeadersPolicyId"]["Ref"]]["Properties"]["ResponseHeadersPolicyConfig"]
        for path, each in behaviors.items()
    }


def directives(stage):
    (text,) = {
        simplified(each["SecurityHeadersConfig"]["ContentSecurityPolicy"]["ContentSecurityPolicy"])
        for each in policies(stage).values()
    }
    return {name: set(values) for name, *values in (part.split() for part in text.split("; "))}


def settings_of(stage):
    """The settings file as it arrives, with references as ``<logical id>``."""
    (upload,) = [
        each for name, each in stage.service.of_type("Custom::CDKBucketDeployment").items() if "PageSettings" in name
    ]
    (key,) = upload["SourceObjectKeys"]
    (file,) = stage.service.folder.glob(f"asset.{key.removesuffix('.zip')}*/settings.json")
    text = file.read_text(encoding="utf-8")
    for marker, value in upload["SourceMarkers"][0].items():
        text = text.replace(marker, simplified(value))
    return upload, json.loads(text)


def test_the_files_are_private_and_only_the_distribution_reads_them(dev):
    bucket = one(dev.web, "AWS::S3::Bucket")
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    (policy,) = dev.web.of_type("AWS::S3::BucketPolicy").values()
    (allowed,) = [each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"]
    assert (allowed["Action"], allowed["Principal"]) == ("s3:GetObject", {"Service": "cloudfront.amazonaws.com"})
    assert "<PageDistribution" in simplified(allowed["Condition"]["StringEquals"]["AWS:SourceArn"])
    content = one(dev.web, "AWS::CloudFront::Distribution")["DistributionConfig"]
    (origin,) = content["Origins"]
    assert "OriginAccessControlId" in origin
    for behavior in (content["DefaultCacheBehavior"], *content["CacheBehaviors"]):
        assert (behavior["ViewerProtocolPolicy"], behavior["AllowedMethods"]) == ("redirect-to-https", ["GET", "HEAD"])
    assert content["DefaultRootObject"] == "index.html"


def test_a_deployment_keeps_files_that_open_pages_use(dev):
    for stack in (dev.web, dev.service):
        assert one(stack, "Custom::CDKBucketDeployment")["Prune"] is False


def test_global_names_of_cloudfront_contain_the_region(dev):
    """CloudFront is one for all regions: the same stage in a second region would find these names taken."""
    names = [
        next(value for key, value in next(iter(each.values())).items() if key == "Name")
        for kind in ("ResponseHeadersPolicy", "OriginAccessControl")
        for each in dev.web.of_type(f"AWS::CloudFront::{kind}").values()
    ]
    assert sorted(simplified(each) for each in names) == [
        "segue-dev-<AWS::Region>",
        "segue-dev-<AWS::Region>-assets",
        "segue-dev-<AWS::Region>-page",
    ]


def test_files_come_last_so_that_a_first_deployment_can_go_back(dev):
    """A bucket with files in it cannot be taken away."""
    (upload,) = [each for each in dev.web.resources.values() if each["Type"] == "Custom::CDKBucketDeployment"]
    kinds = {dev.web.resources[name]["Type"] for name in upload["DependsOn"]}
    assert {
        "AWS::CloudFront::Distribution",
        "AWS::Cognito::ManagedLoginBranding",
        "AWS::Cognito::UserPoolClient",
        "AWS::Cognito::UserPoolDomain",
    } <= kinds


def test_nothing_but_the_pages_own_files_runs(dev):
    found = directives(dev)
    assert found["default-src"] == found["frame-ancestors"] == found["base-uri"] == found["form-action"] == {"'none'"}
    assert found["script-src"] == found["worker-src"] == found["style-src"] == {"'self'"}
    assert not [each for values in found.values() for each in values if "unsafe" in each]


def test_the_page_calls_the_api_the_issuer_and_the_sign_in_pages(dev, oidc):
    (login,) = dev.web.of_type("AWS::Cognito::UserPoolDomain")
    assert directives(dev)["connect-src"] == {
        "'self'",
        "wss://*.execute-api.<AWS::Region>.<AWS::URLSuffix>",
        "https://cognito-idp.<AWS::Region>.<AWS::URLSuffix>",
        f"https://<{login}>.auth.<AWS::Region>.amazoncognito.com",
    }
    assert directives(oidc)["connect-src"] == {
        "'self'",
        "wss://voice.example.com",
        "https://login.example",
        "https://tokens.example",
        "https://keys.example:8443",
    }


def test_security_headers_allow_the_page_the_microphone_and_no_other_device(dev):
    for path, policy in policies(dev).items():
        custom = {each["Header"]: each["Value"] for each in policy["CustomHeadersConfig"]["Items"]}
        assert {"microphone=(self)", "camera=()"} <= set(custom["Permissions-Policy"].split(", "))
        assert custom["Cache-Control"].startswith("no-cache" if path == "/" else "public, max-age=31536000")
        security = policy["SecurityHeadersConfig"]
        assert security["ReferrerPolicy"]["ReferrerPolicy"] == "no-referrer"
        assert security["FrameOptions"]["FrameOption"] == "DENY"
        assert security["StrictTransportSecurity"]["AccessControlMaxAgeSec"] >= 31_536_000
        assert "ContentTypeOptions" in security


def test_sign_in_leads_back_to_the_page_and_nowhere_else(dev):
    ((client_id, client),) = dev.web.of_type("AWS::Cognito::UserPoolClient").items()
    (distribution,) = dev.web.of_type("AWS::CloudFront::Distribution")
    assert [simplified(each) for each in client["CallbackURLs"]] == [f"https://<{distribution}>/"]
    assert client["LogoutURLs"] == client["CallbackURLs"]
    assert (client["AllowedOAuthFlows"], client["GenerateSecret"]) == (["code"], False)
    assert set(client["AllowedOAuthScopes"]) == {"openid", "email"}
    assert client["SupportedIdentityProviders"] == ["COGNITO"]
    assert "ALLOW_USER_PASSWORD_AUTH" not in client["ExplicitAuthFlows"]
    assert one(dev.web, "AWS::Cognito::ManagedLoginBranding")["ClientId"] == {"Ref": client_id}
    assert one(dev.web, "AWS::Cognito::UserPoolDomain")["ManagedLoginVersion"] == 2


def test_the_name_of_the_sign_in_pages_is_no_other_deployments(dev):
    """All user pools of a region share these names; the words aws, amazon and cognito are refused in them."""
    prefix = one(dev.web, "AWS::Cognito::UserPoolDomain")["Domain"]["Fn::Join"][1]
    assert prefix[0] == "segue-"
    assert "AWS::StackId" in str(prefix[1:])


def audience(stage):
    variables = stage.service.named("AWS::Lambda::Function", "GatewayAuthorizer")["Environment"]["Variables"]
    return simplified(variables["SEGUE_TOKEN_AUDIENCE"]).split(",")


def test_the_pages_client_is_an_audience_beside_the_terminals(dev, oidc):
    terminal, page = audience(dev)
    assert terminal.startswith("<Data.PublishOutputRefAuthUsersClient")
    assert page.startswith("<Web.PublishOutputRefLoginClient")
    assert audience(oidc) == ["segue", "page-1"]


def test_the_settings_file_says_where_and_how(dev, oidc):
    upload, found = settings_of(dev)
    assert upload["DestinationBucketName"]["Fn::GetStackOutput"]["StackName"] == "Segue-dev-Web"
    assert found.keys() == {"url", "login", "issuer", "clientId", "scopes"}
    assert (found["login"], found["scopes"]) == ("oidc", ["openid", "email"])
    assert found["url"].startswith("wss://<GatewayApi")
    assert found["url"].endswith(".execute-api.<AWS::Region>.<AWS::URLSuffix>/dev")
    assert found["issuer"].startswith("https://cognito-idp.<AWS::Region>.<AWS::URLSuffix>/<Data.PublishOutputRefAuth")
    assert found["clientId"] == audience(dev)[1]

    _, found = settings_of(oidc)
    assert found == {
        "url": "wss://voice.example.com",
        "login": "oidc",
        "issuer": "https://login.example/tenant",
        "clientId": "page-1",
        "scopes": ["openid", "email"],
    }


def test_the_settings_file_is_written_after_all_that_it_names(dev, oidc):
    for stage in (dev, oidc):
        (name,) = [each for each in stage.service.resources if each.startswith("PageSettingsUploadCustomResource")]
        earlier = {stage.service.resources[each]["Type"] for each in before(stage, name)}
        assert {"AWS::Lambda::Alias", "AWS::ApiGatewayV2::Api", "Custom::Trigger"} <= earlier
        for part in ("Authorizer", "Connect", "Disconnect", "MessageLive"):
            assert [each for each in before(stage, name) if each.startswith(f"Gateway{part}")]
    assert "AWS::ApiGatewayV2::ApiMapping" in earlier
    assert "AWS::ECS::Service" in {dev.service.resources[each]["Type"] for each in before(dev, _settings_name(dev))}


def _settings_name(stage):
    return next(each for each in stage.service.resources if each.startswith("PageSettingsUploadCustomResource"))


def test_another_issuer_has_its_own_sign_in_pages(oidc):
    assert not [each for each in oidc.web.resources.values() if each["Type"].startswith("AWS::Cognito")]
    assert oidc.web.content["Outputs"]["PageClientId"]["Value"] == "page-1"


def test_web_stack_has_these_outputs(dev):
    assert dev.web.outputs == {"PageUrl", "PageClientId", "PageBucketName", "DistributionId"}


@pytest.mark.parametrize(
    "settings",
    [{"web": "false", "workers": "text"}, {**OIDC, "workers": "text"}],
    ids=["not wanted", "another issuer without a client"],
)
def test_a_deployment_without_a_page_has_no_web_stack(synthesized, settings):
    """It is left out where it is not wanted, and with another issuer where no client is named."""
    stage = synthesized(**settings)
    assert stage.web is None
    assert len(audience(stage)) == 1
    assert not stage.service.of_type("Custom::CDKBucketDeployment")
    assert not [each for each in stage.service.of_type("AWS::CloudWatch::Alarm").values() if "CloudFront" in str(each)]


def test_the_emulator_has_no_page(local):
    assert local.web is None


@pytest.mark.parametrize("name", ["web_client_id", "web_login_origins"])
def test_page_settings_of_another_issuer_are_refused_without_oidc(name):
    with pytest.raises(ConfigurationError, match=f"{name}.*only with auth=oidc"):
        from_context({name: "https://tokens.example"})


def test_the_setting_may_be_true_or_false_in_cdk_json():
    assert from_context({"web": False}).page is False
    assert from_context({"web": True}).page is from_context({}).page is True
    with pytest.raises(ConfigurationError, match="web='no' is not possible; allowed: true, false"):
        from_context({"web": "no"})
    with pytest.raises(ConfigurationError, match="worker_count"):
        from_context({"worker_count": True})


def test_a_page_that_is_not_built_ends_the_synthesis_with_what_to_do(tmp_path):
    with pytest.raises(PageMissingError, match=r"run `make web`, or leave it out with `-c web=false`"):
        built_page(from_context({}), tmp_path)
    assert built_page(from_context({"web": "false"}), tmp_path) is None
    assert built_page(from_context({"stage": "local"}), tmp_path) is None
    (tmp_path / "index.html").touch()
    assert built_page(from_context({}), tmp_path) == tmp_path


def test_page_alarm_is_made_only_in_us_east_1(dev):
    alarm = next(each for name, each in dev.service.resources.items() if "PageFails" in name)
    condition = dev.service.content["Conditions"][alarm["Condition"]]
    assert condition == {"Fn::Equals": [{"Ref": "AWS::Region"}, "us-east-1"]}


def test_the_page_on_deploying_says_that_the_page_is_built_first():
    text = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    assert text.index("make web") < text.index("npx cdk deploy --all ")
