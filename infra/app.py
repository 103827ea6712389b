"""The CDK app. ``cdk.json`` names it, so that ``npx cdk synth`` and ``npx cdk deploy`` find it.

npx cdk deploy --all                    the stage ``dev``
npx cdk deploy --all -c stage=prod      another stage, with stacks of its own
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

from aws_cdk import App, CfnElement, Environment, IPolicyValidationPlugin, Validations

from infra import nag_findings, node
from infra.agent_check import AgentError, check_agent
from infra.config import Config, from_context
from infra.constructs.web.built import PageMissingError, built_page
from infra.dependencies import LayerBuildError, ThirdParty, build_all
from infra.setting_fields import ConfigurationError
from infra.stacks.data import DataStack
from infra.stacks.service import ServiceStack
from infra.stacks.web import WebStack


def compose(
    app: App, config: Config, packages: ThirdParty, page: Path | None = None
) -> tuple[DataStack, WebStack | None, ServiceStack]:
    """Add all stacks of a deployment to an app.

    Args:
        app: What is synthesized.
        config: The deployment.
        packages: The built folders of the functions' third-party layers.
        page: The folder of the built page; None: there is no page.

    Returns:
        The stacks in their order; None for one that the deployment leaves out.
    """
    # The account is left to the caller's credentials: then nothing has to be looked up at synthesis.
    environment = Environment(region=config.region)
    data = DataStack(app, f"Segue-{config.stage}-Data", config, env=environment)
    web = None
    if page is not None:
        web = WebStack(app, f"Segue-{config.stage}-Web", config, auth=data.auth, files=page, env=environment)
        web.add_stack_dependency(data)
        nag_findings.acknowledge(web, {**nag_findings.WEB, **nag_findings.upload_grants(web, web)})
    service = ServiceStack(
        app,
        f"Segue-{config.stage}-Service",
        config,
        storage=data.storage,
        auth=data.auth,
        packages=packages,
        web=web,
        env=environment,
    )
    service.add_stack_dependency(web or data)
    nag_findings.acknowledge(data, nag_findings.DATA)
    nag_findings.acknowledge(service, nag_findings.SERVICE)
    api = cast("CfnElement", service.gateway.api.node.default_child) if service.gateway else None
    nag_findings.acknowledge(service, nag_findings.prefix_grants(data, service, api, config.stage))
    nag_findings.acknowledge(service, nag_findings.profile_grants(service, config))
    if web is not None:
        nag_findings.acknowledge(service, nag_findings.upload_grants(service, web))
    if config.direct:
        nag_findings.acknowledge(service, nag_findings.DIRECT)
    if config.trace_sampling_percent:
        nag_findings.acknowledge(service, nag_findings.TRACED)
    return data, web, service


def main(*rules: Callable[[App], IPolicyValidationPlugin]) -> None:
    """Synthesize what the CDK context asks for; a wrong setting ends it with one line.

    Args:
        rules: Rule packs that the templates have to pass; a finding ends it as well.
    """
    node.warn_if_outdated()
    app = App()
    Validations.of(app).add_plugins(*(pack(app) for pack in rules))
    try:
        config = from_context(app.node.get_all_context())
        check_agent(config)
        compose(app, config, build_all(config), built_page(config))
    except (AgentError, ConfigurationError, LayerBuildError, PageMissingError) as error:
        sys.exit(f"segue: {error}")
    app.synth()


if __name__ == "__main__":
    main()
