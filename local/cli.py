"""The command line: ``python -m local``. Commands only parse, call one thing and print; a new one goes to the end."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import click

from local.developer_commands import COMMANDS
from local.errors import LocalError, NotRunningError
from local.progress import renderer
from local.settings import DEFAULT_STOP_TIMEOUT_SECONDS, Settings
from local.stack import run_file
from local.stack.control import Client

DEFAULT_SESSION = "conversation"
SIGNALS = ("KILL", "TERM", "STOP", "CONT")

TRANSPORTS = click.Choice(("api", "direct", "both"))

json_option = click.option("--json", "as_json", is_flag=True, help="Print facts as JSON.")
session_option = click.option(
    "--session", default=DEFAULT_SESSION, show_default=True, help="Id of the session to talk in."
)


def run[Result](work: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's coroutine; Ctrl-C ends it quietly."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        sys.exit(130)


class Commands(click.Group):
    """A group whose failures are one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except LocalError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=Settings().home,
    envvar="SEGUE_HOME",
    help="Folder of one stack: state, logs and run.json.  [default: .segue]",
)
@click.option("--forked", is_flag=True, envvar="SEGUE_FORKED",
              help="Fork workers from a process that has imported libraries: new ones come up sooner.")  # fmt: skip
@click.pass_context
def main(ctx: click.Context, home: Path, *, forked: bool) -> None:
    """Run Segue on one machine: an AWS emulator, the real deployment, workers, and a conversation.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 nothing is running, 4 already running.
    """
    ctx.obj = Settings(home=home.resolve(), forked=forked)


@main.command()
@click.option("--chat", is_flag=True, help="Open a conversation once everything is up; its end stops everything.")
@click.option("--detach", is_flag=True, help="Return once everything is up; `down` stops it.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, envvar="SEGUE_PORT",
              help="Port of the emulator.  [default: the last one, or any free one]")  # fmt: skip
@click.option("--page-port", type=click.IntRange(0, 65535), default=0, envvar="SEGUE_PAGE_PORT",
              help="Port of the page.  [default: the last one, or any free one]")  # fmt: skip
@click.option("--origin", "origins", multiple=True, metavar="ORIGIN",
              help="Another origin that may use the page's WebSocket, as http://localhost:5173.")  # fmt: skip
@click.option("--workers", type=click.IntRange(1, 20), default=2, show_default=True, envvar="SEGUE_WORKERS",
              help="Number of worker processes.")  # fmt: skip
@click.option("--stop-timeout", type=click.FloatRange(min=0), default=DEFAULT_STOP_TIMEOUT_SECONDS, show_default=True,
              help="Seconds a worker has between SIGTERM and SIGKILL.")  # fmt: skip
@click.option("--transport", type=TRANSPORTS, default="api", show_default=True, envvar="SEGUE_TRANSPORT",
              help="Clients' way to the agent: the API, workers' own sockets (direct), or both.")  # fmt: skip
@click.option(
    "--debug",
    is_flag=True,
    help="Run one worker, in which breakpoint() and debugpy work; leases wait meanwhile.",
)
@click.option("--watch", is_flag=True, help="Deploy changes whenever a source file is saved.")
@click.option("--verbose", is_flag=True, help="Show what the CDK prints.")
@click.option(
    "--provider",
    envvar="SEGUE_PROVIDER",
    help="Model provider to use, with keys from the environment.  [default: offline model]",
)
@click.option("--model-id", envvar="SEGUE_MODEL_ID", help="Model id of the provider.  [default: the provider's]")
@click.option("--voice", envvar="SEGUE_VOICE", help="Voice of the model.  [default: the provider's]")
@click.option("--variable", "variables", multiple=True, metavar="NAME=VALUE",
              help="Variable of the workers, such as SEGUE_LINGER_SECONDS=5; repeatable.")  # fmt: skip
@session_option
@json_option
@click.pass_obj
def up(
    settings: Settings, /, *, chat: bool, detach: bool, watch: bool, session: str, as_json: bool, **options: Any
) -> None:
    """Start the emulator, deploy to it, start the workers; stop everything on Ctrl-C.

    State is kept over a clean stop: sessions are there again at the next start.
    """
    from dataclasses import replace

    if detach and (watch or options["debug"]):
        raise click.UsageError("--watch and --debug need the terminal that --detach gives back: leave one of them out.")
    from local.stack import up as foreground

    provider_options = {name: options.pop(name) for name in ("provider", "model_id", "voice")}
    variable_options = options.pop("variables")
    variables = dict(map(_variable, variable_options))
    settings = replace(settings, **{**options, **({"workers": 1} if options["debug"] else {})})
    if provider_options["provider"] is not None:
        from local.stack import provider  # imports boto3

        variables = {**provider.variables(**provider_options), **variables}
    settings = replace(settings, worker_environment=variables)
    if detach:
        foreground.detach(settings, variable_options, as_json=as_json)
    else:
        sys.exit(run(foreground.serve(settings, session=session if chat else None, as_json=as_json, watch=watch)))


def _variable(option: str) -> tuple[str, str]:
    name, is_one, value = option.partition("=")
    if not name or not is_one:
        msg = f"--variable {option}: write NAME=VALUE."
        raise click.UsageError(msg)
    return name, value


@main.command()
@session_option
@click.option(
    "--text", is_flag=True, help="Get answers in text, from the text function, instead of from a voice worker."
)
@click.option("--url", help="Talk to the deployment at this address, with the token in SEGUE_TOKEN; nothing runs here.")
@json_option
@click.pass_obj
def chat(settings: Settings, /, session: str, *, text: bool, url: str | None, as_json: bool) -> None:
    """Talk to the agent of a running stack. Lines in, answers out; Ctrl-D ends it.

    With a pipe as input, each line waits for the answer to the one before. With --json, every frame is a line.
    """
    endpoint = (url, _token_from_environment()) if url else None
    from local.terminal.chat import Conversation  # takes half a second

    async def work() -> None:
        address, token = endpoint or await _running_stack(settings)
        await Conversation(address, session, token, json_lines=as_json, modality="text" if text else "voice").run()

    run(work())


@main.command()
@session_option
@click.option("--url", help="Talk to the deployment at this address, with the token in SEGUE_TOKEN; nothing runs here.")
@click.pass_obj
def talk(settings: Settings, /, session: str, *, url: str | None) -> None:
    """Speak with the agent of a running stack, by microphone and loudspeaker; Ctrl-D ends it.

    Needs PortAudio, by the package sounddevice. Speak over an answer to interrupt it.
    """
    endpoint = (url, _token_from_environment()) if url else None
    from local.terminal.sound import sound_card
    from local.terminal.talk import SpokenConversation  # takes half a second

    card = sound_card()

    async def work() -> None:
        address, token = endpoint or await _running_stack(settings)
        await SpokenConversation(address, session, token, card).run()

    run(work())


async def _running_stack(settings: Settings) -> tuple[str, Callable[[], str]]:
    """Endpoint of the running stack, and the source of its tokens."""
    from local.deployment.issuer import Issuer

    facts = await Client(run_file.require(settings)).status()
    return facts["websocket_url"], Issuer(settings).token


def _token_from_environment() -> Callable[[], str]:
    token = os.environ.get("SEGUE_TOKEN")
    if not token:
        msg = "SEGUE_TOKEN is not set: it holds the token for --url (docs/deploy.md says how to get one)."
        raise LocalError(msg)
    return lambda: token


@main.command()
@click.option("--all", "everything", is_flag=True, help="Synthesize and deploy both stacks, whatever has changed.")
@json_option
@click.pass_obj
def redeploy(settings: Settings, /, *, everything: bool, as_json: bool) -> None:
    """Deploy what has changed in the sources and replace the workers; conversations go on.

    If only the agent, workers or the text function have changed, nothing is synthesized. New workers are up
    and healthy first, then the old ones get SIGTERM, and SIGKILL when their stop timeout is over.
    """
    show = renderer(as_json=as_json)

    async def work() -> None:
        async for event in Client(run_file.require(settings)).redeploy(everything=everything):
            show(event)

    try:
        run(work())
    finally:
        show.close()


@main.command()
@click.argument("worker", required=False)
@click.option("--session", help="Id of a session: the signal goes to its holder.")
@click.option("--signal", "name", type=click.Choice(SIGNALS), default="KILL", show_default=True, help="Signal to send.")
@json_option
@click.pass_obj
def kill(settings: Settings, /, worker: str | None, session: str | None, name: str, *, as_json: bool) -> None:
    """Send a signal to WORKER (an id from ``status``; default: the first). A dead worker is replaced.

    STOP and CONT make it hang and go on.
    """
    if worker and session:
        raise click.UsageError("name a worker or a session, not both.")

    async def work() -> str:
        client = Client(run_file.require(settings))
        worker_id = await client.holder(session) if session else worker
        if session and worker_id is None:
            msg = f"no worker holds session {session}."
            raise LocalError(msg)
        return await client.kill(worker_id, f"SIG{name}")

    killed_worker = run(work())
    click.echo(
        json.dumps({"worker": killed_worker, "signal": f"SIG{name}"})
        if as_json
        else f"sent SIG{name} to {killed_worker}"
    )


@main.command()
@json_option
@click.pass_obj
def status(settings: Settings, /, *, as_json: bool) -> None:
    """Print what runs, with addresses and files. Exit code 3 if nothing runs."""
    try:
        facts = run(Client(run_file.require(settings)).status())
    except NotRunningError:
        if as_json:
            click.echo(json.dumps({"running": False}))
        raise
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        from local.terminal.report import print_facts

        print_facts(facts)


@main.command()
@click.pass_obj
def down(settings: Settings, /) -> None:
    """Stop a running stack, from another terminal. State is kept."""
    from local.stack import up as foreground

    run(foreground.stop_other(settings))


@main.command()
@click.option("--provider", type=click.Choice(("nova-sonic", "openai-realtime", "gemini-live")),
              help="Talk to a fake of this provider, over its real protocol.  [default: offline model]")  # fmt: skip
@click.option("--transport", type=TRANSPORTS, default="api", show_default=True, envvar="SEGUE_TRANSPORT",
              help="Way to the agent: the API, workers' own sockets (direct), or both.")  # fmt: skip
@click.pass_obj
def demo(settings: Settings, /, *, provider: str | None, transport: str) -> None:
    """Play the whole story without a person and check it: talk, redeploy, ask, kill a worker, ask again.

    Deploys a stack of its own below the home folder. Exit code 0 only if every answer was right and nothing was lost.
    """
    from dataclasses import replace

    from local.demo import run as play

    settings = replace(settings, transport=transport)
    sys.exit(0 if run(play(settings, renderer(as_json=False), provider)) else 1)


@main.command()
@click.option("--subject", default="local", show_default=True, help="User of the token; each has its own sessions.")
@click.option("--expires", type=click.IntRange(min=1), default=12 * 60 * 60, show_default=True, metavar="SECONDS",
              help="Seconds until the token expires.")  # fmt: skip
@click.pass_obj
def token(settings: Settings, /, subject: str, expires: int) -> None:
    """Print a token that lets a client in, as the subprotocol ``bearer.TOKEN`` or in the query, ``?token=TOKEN``."""
    from local.deployment.issuer import Issuer  # cryptography: a tenth of a second that `--help` need not wait for

    click.echo(Issuer(settings).token(subject, expires))


@main.command()
@click.option("--subject", default="local", show_default=True, help="User who signs in; each has its own sessions.")
@click.option("--expires", type=click.IntRange(min=1), default=12 * 60 * 60, show_default=True, metavar="SECONDS",
              help="Seconds until a token of this sign-in expires; the page gets the next by itself.")  # fmt: skip
@click.pass_obj
def link(settings: Settings, /, *, subject: str, expires: int) -> None:
    """Print a link to the page of a running stack. It signs in once: for the next browser, print another."""
    click.echo(run(Client(run_file.require(settings)).link(subject, expires)))


for command in COMMANDS:
    main.add_command(command)
