"""``python -m infra.preflight -c stage=prod -c worker_count=4``: the flags of ``npx cdk deploy``."""

from __future__ import annotations

import json
import sys

import click
from botocore.exceptions import BotoCoreError
from rich.console import Console

from infra.preflight.account import Account
from infra.preflight.context import WrongUsageError, read
from infra.preflight.findings import State, show
from infra.preflight.run import examine
from infra.setting_fields import ConfigurationError


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "-c", "--context", "options", multiple=True, metavar="NAME=VALUE", help="Setting, as for `cdk deploy`; repeatable."
)
@click.option("--json", "as_json", is_flag=True, help="Print facts as JSON.")
@click.option("--strict", is_flag=True, help="Exit with 1 also for what is short or unknown.")
def main(options: tuple[str, ...], *, as_json: bool, strict: bool) -> None:
    """Check that the AWS account has what a deployment's settings need. Changes nothing.

    Exit codes: 0 nothing fails, 1 the deployment would fail, 2 wrong usage or an impossible setting.
    """
    try:
        config = read(options)
        account = Account(config.region)
    except (ConfigurationError, WrongUsageError, BotoCoreError) as error:  # the last: a profile that there is not
        click.echo(f"segue: {error}", err=True)
        sys.exit(2)
    if not config.target.keeps_data:
        click.echo("segue: the stage local needs no account: `make local`", err=True)
        sys.exit(2)
    findings = examine(account, config)
    if as_json:
        facts = {"stage": config.stage, "account": account.id, "region": account.region}
        click.echo(json.dumps({**facts, "findings": [each.facts() for each in findings]}, indent=2))
    else:
        console = Console()
        console.print(f"stage {config.stage}, account {account.id or 'unknown'}, {account.region}\n", highlight=False)
        show(console, findings)
    failing_states = {State.FAILS, *((State.SHORT, State.UNKNOWN) if strict else ())}
    sys.exit(1 if any(each.state in failing_states for each in findings) else 0)


if __name__ == "__main__":
    main(prog_name="python -m infra.preflight")
