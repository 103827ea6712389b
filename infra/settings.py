"""The settings of a deployment in groups; ``infra.config`` puts them together.

The text under each is what docs/configuration.md says about it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from infra.setting_fields import number, text

IMAGE = r"[A-Za-z0-9][A-Za-z0-9./:@_-]{0,511}"
DOMAIN = r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}"
SUBNETS = r"subnet-[0-9a-f]{8,17}(?:,subnet-[0-9a-f]{8,17}){0,5}"
CERTIFICATE = r"arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/[0-9a-f-]{36}"
_ORIGIN = r"https?://[A-Za-z0-9.-]{1,253}(?::\d{1,5})?"
ORIGINS = rf"{_ORIGIN}(?:,{_ORIGIN}){{0,15}}"
ZONES = r"[a-z]{2}(?:-[a-z]+)+-\d[a-z](?:,[a-z]{2}(?:-[a-z]+)+-\d[a-z]){0,5}"


class Settings(BaseModel):
    """Settings of all groups."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Deployment(Settings):
    """Which deployment this is, and what is kept of what it says."""

    stage: str = text(r"[a-z][a-z0-9-]{0,19}", "1 to 20 of a-z, 0-9 and '-', a letter first", "dev")
    """Part of the stacks' names and of the WebSocket address. ``local`` is the emulator's: it leaves out what that
    refuses, and has defaults of its own (see below)."""
    version: str | None = text(r"[A-Za-z0-9._-]{1,64}", "1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-'")
    """Name of what the workers run; a new one always replaces them. Default: a hash of the image's content and of the
    settings."""
    region: str | None = text(r"[a-z]{2}(-[a-z]+)+-\d", "an AWS region such as us-east-1")
    """Default: the region of the caller's credentials."""
    architecture: Literal["arm64", "x86_64"] = "arm64"
    """Of functions and workers."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Of functions and workers."""
    log_retention_days: Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731] = 30
    """Days that log lines are kept."""
    alarm_email: str | None = text(r"[^@\s,]+@[^@\s,]+\.[^@\s,]+", "an e-mail address")
    """Address for alarms; AWS sends a confirmation first. Default: none."""
    trace_sampling_percent: int = number(0, 100, 0)
    """Part that workers trace (OpenTelemetry) of the turns that came without a trace. Lambda traces functions at its
    own rate. 0: neither, and no role may write traces."""
    trace_endpoint: str | None = text(r"https?://[!-~]{1,500}", "the address at which a collector takes OTLP over HTTP")
    """Address of the workers' traces, the path included (``/v1/traces``). Default: X-Ray. Only with
    ``trace_sampling_percent``."""
    docs_url: str | None = text(r"https://[!-~]{1,300}", "an https address")
    """Address of the folder ``docs``, for the alarms' links to runbooks. Default: its path in the repository."""


class Conversations(Settings):
    """Storage of conversations."""

    lease_seconds: int = number(2, 300, 10)
    """Seconds that a session's lease lives without a heartbeat."""
    heartbeat_seconds: int = number(1, 100, 3)
    """Seconds between two heartbeats, at most a third of ``lease_seconds``."""
    retention_days: int = number(1, 3650, 365)
    """Days from its last use to a session's deletion."""
    approval_seconds: int = number(10, 86_400, 300)
    """Seconds in which a person may answer an approval of a text turn (Strands' interrupts). Then the next input or
    ``hello`` denies the tool."""


class Model(Settings):
    """The model that answers, and what it is told."""

    tool_errors: Literal["shown", "hidden"] = "shown"
    """The result that the model gets of a tool that raised. ``shown``: the error's text. ``hidden``: one sentence
    without it. The log has text and traceback."""

    provider: Literal["nova-sonic", "openai-realtime", "openai-live", "gemini-live", "offline", "rehearsal"] = (
        "nova-sonic"
    )
    """The provider of the voice model. ``offline`` is a stand-in for development and tests; earlier releases call it
    ``rehearsal``."""
    model_id: str | None = text(r"[A-Za-z0-9._:/-]{1,140}", "the provider's name of a model")
    """The voice model. Default of other providers: in docs/providers.md."""
    model_voice: str | None = text(r"[A-Za-z0-9_-]{1,64}", "the provider's name of a voice")
    """Default: the provider's own."""
    provider_input_rate: int | None = number(8000, 48_000, None)
    """Samples a second that the provider hears, of those in docs/providers.md. Default: its usual rate."""
    provider_output_rate: int | None = number(8000, 48_000, None)
    """Samples a second that the provider speaks, likewise."""
    client_input_rate: int | None = number(8000, 48_000, None)
    """Samples a second that clients send, announced in ``ready``. Default: the provider's."""
    client_output_rate: int | None = number(8000, 48_000, None)
    """Samples a second that clients are sent. Default: the provider's."""
    provider_options: str | None = text(r"\{[\s\S]{0,4000}\}", "a JSON object")
    """Other options of the provider's model, see docs/providers.md. In ``cdk.json`` an object, on the command line its
    text."""
    text_model_id: str | None = text(r"[A-Za-z0-9._:/-]{1,140}", "the name of a model of Amazon Bedrock")
    """The model of text turns, or an inference profile. Default: the model's profile in the region."""
    provider_secret_arn: str | None = text(
        r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:[A-Za-z0-9/_+=.@-]+-[A-Za-z0-9]{6}",
        "the whole ARN of a secret in Secrets Manager, with its six characters at the end",
    )
    """The secret whose text is the key of OpenAI or Gemini, which need it."""


class Workers(Settings):
    """Workers that hold the conversations."""

    workers: Literal["voice", "text", "both"] = "both"
    """``voice``: Fargate tasks for streaming sessions. ``text``: Lambda functions for turns of text."""
    worker_count: int = number(1, 1000, 2)
    """Worker tasks at least."""
    worker_count_max: int | None = number(1, 5000, None)
    """Worker tasks at most. Default: five times ``worker_count``."""
    worker_capacity: int = number(1, 1000, 40)
    """Sessions that one worker takes at most."""
    worker_cpu: Literal[256, 512, 1024, 2048, 4096, 8192, 16384] = 1024
    """CPU of a task, in 1/1024 vCPU."""
    worker_memory: int = number(512, 122_880, 2048)
    """Memory of a task, in MiB: a size that Fargate has for ``worker_cpu``."""
    worker_spot_percent: int = number(0, 100, 0)
    """Part of the tasks on Fargate Spot. AWS takes such a task back with two minutes' notice, which is a handoff."""
    worker_linger_seconds: int = number(0, 3600, 60)
    """Seconds that a session without clients is kept."""
    worker_image: str | None = text(IMAGE, "the address of a container image")
    """A container image to run, public (not with ``network=private``) or in this account's ECR in the same region,
    named by its digest, or with ``version``: another image under the same address is not noticed. Default: built from
    ``functions/worker/Dockerfile``."""
    worker_base_image: str | None = text(IMAGE, "the address of a container image")
    """Base of the worker image; a digest fixes it. Default: the Dockerfile's own."""


class Access(Settings):
    """Callers: who may connect, by which address, and how many."""

    auth_mode: Literal["cognito", "oidc"] = Field("cognito", alias="auth")
    """Issuer of the callers' tokens. ``cognito``: a user pool of the deployment's own. ``oidc``: that of the next three
    settings."""
    auth_issuer: str | None = text(r"https://[!-~]{1,500}", "the https address that tokens name as their issuer")
    """The issuer, as in the tokens' ``iss``. With ``auth=oidc``."""
    auth_audience: str | None = text(r"[!-~]{1,500}", "what tokens name as their audience, with commas between several")
    """Audience in a token's ``aud`` (or ``client_id``). With ``auth=oidc``."""
    auth_jwks_url: str | None = text(
        r"(?:https://|http://127\.0\.0\.1:)[!-~]{1,500}", "the https address of the issuer's keys"
    )
    """Default: ``/.well-known/jwks.json`` below the issuer's address."""
    domain_name: str | None = text(DOMAIN, "a domain name such as voice.example.com")
    """Your own address of the WebSocket API. Needs ``domain_certificate_arn``."""
    domain_certificate_arn: str | None = text(CERTIFICATE, "the ARN of a certificate in ACM")
    """The certificate of ``domain_name``, in the same region."""
    domain_zone_id: str | None = text(r"Z[A-Z0-9]{3,31}", "the id of a hosted zone of Route 53")
    """Hosted zone in which the stack writes the record of ``domain_name``. Default: you write it, to the output
    ``DomainTarget``."""
    expected_frame_rate: int | None = number(0, 1_000_000, None)
    """Frames a second from all clients together, at the busiest time. API Gateway throttles at twice that. 0: nothing
    is throttled. Default: ten a second for each session that ``worker_count_max`` tasks take, or the account's rate."""
    account_message_rate: int = number(100, 1_000_000, 10_000)
    """Requests a second that API Gateway allows the account in this region: the throttle is never above it."""
    message_concurrency: int | None = number(1, 100_000, None)
    """Lambda environments reserved for the message function, which never has more. It needs one for every ten frames a
    second. Default: none is reserved, and it has as many as the account."""
    provisioned_concurrency: int = number(0, 1000, 0)
    """Environments of the message function that are kept warm."""


class Direct(Settings):
    """The direct transport: a load balancer to the workers' own WebSockets, beside the API or instead of it."""

    transport: Literal["api", "direct", "both"] = "api"
    """The way in for clients. ``api``: the WebSocket API, free while no client talks. ``direct``: a Network Load
    Balancer to the workers' own WebSockets, without an API. ``both``: both lead to the same sessions."""
    direct_domain_name: str | None = text(DOMAIN, "a domain name such as live.example.com")
    """The load balancer's address, not ``domain_name``. Needed with ``transport=direct`` and ``both``."""
    direct_certificate_arn: str | None = text(CERTIFICATE, "the ARN of a certificate in ACM")
    """The certificate of ``direct_domain_name``, in the same region."""
    direct_zone_id: str | None = text(r"Z[A-Z0-9]{3,31}", "the id of a hosted zone of Route 53")
    """Hosted zone in which the stack writes the record of ``direct_domain_name``. Default: you write it, to the output
    ``DirectTarget``."""
    direct_origins: str | None = text(ORIGINS, "one to sixteen web origins, with commas")
    """Websites that may connect directly, beside the deployment's page. Programs, which send no ``Origin``, are not
    checked. Default: the page's own; without a page, any."""
    direct_sockets: int | None = number(1, 10_000, None)
    """Direct sockets that one worker takes at most, ``worker_capacity`` at least. Default: four times that."""


class Web(Settings):
    """The page to talk on, in a browser."""

    web: Literal["true", "false"] = "true"
    """The page, in a stack of its own. With ``auth=oidc`` it needs ``web_client_id``."""
    web_client_id: str | None = text(r"[!-~]{1,200}", "the id of a public client at the issuer")
    """The client for the page's sign-in, by code and PKCE, without a secret. It has to allow the address of the output
    ``PageUrl``, with ``/`` at its end. With ``auth=oidc``."""
    web_login_origins: str | None = text(
        r"https://[A-Za-z0-9.:-]{1,255}(?:,https://[A-Za-z0-9.:-]{1,255}){0,7}", "https origins, with commas"
    )
    """Origins that the page calls at sign-in beside the issuer's, such as its token endpoint's. With ``auth=oidc``."""


class Network(Settings):
    """Network of the workers."""

    network: Literal["public", "private"] = "public"
    """``public``: tasks have public addresses, which cost by the hour. ``private``: tasks have none; interface
    endpoints lead to AWS, and an egress-only gateway (IPv6) to the rest."""
    vpc_id: str | None = text(r"vpc-[0-9a-f]{8,17}", "the id of a VPC")
    """A VPC of your own, with its ways to AWS and to the provider. Needs the next three (without an API the first two).
    Default: one is made."""
    vpc_zones: str | None = text(ZONES, "one to six availability zones, with commas")
    """Availability zones of its subnets, in their order."""
    vpc_worker_subnets: str | None = text(SUBNETS, "one to six ids of subnets, with commas")
    """Subnets of the tasks, one for each zone: public ones with ``network=public``."""
    vpc_function_subnets: str | None = text(SUBNETS, "one to six ids of subnets, with commas")
    """Private subnets of the message function, one for each zone. Not with ``transport=direct``."""
    vpc_balancer_subnets: str | None = text(SUBNETS, "one to six ids of subnets, with commas")
    """Public subnets of the load balancer, one for each zone. Default with ``network=public``: those of the tasks."""


GROUPS = (Deployment, Conversations, Model, Workers, Access, Direct, Web, Network)
"""In the order of the documentation."""
