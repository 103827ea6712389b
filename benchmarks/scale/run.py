"""Needs of a deployment at 100, 10,000 and 1,000,000 conversations: a simulated load, priced and held against quotas.

python -m benchmarks.scale                          prints the tables
python -m benchmarks.scale --docs docs/scale.md     writes them into the page

Conversations are simulated second by second (``benchmarks.scale.load``); the direct transport has a module of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.measuring.prices import DYNAMODB_READ_UNIT, DYNAMODB_WRITE_UNIT, S3_READ, S3_WRITE
from benchmarks.scale import direct
from benchmarks.scale.load import ASSUMED, MEASURED, SIZES, Load, simulate

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


@dataclass(frozen=True)
class Quota:
    """Default quotas of an account.

    Attributes:
        key: Of the load.
        what: For people.
        limit: So much.
        change: What to do when it binds.
    """

    key: str
    what: str
    limit: float
    change: str


QUOTAS: Final = (
    Quota("messages", "API Gateway: messages a second, in and out", 10_000, "more on request; then a load balancer"),
    Quota("connects", "API Gateway: new connections a second", 500, "more on request"),
    Quota("environments", "Lambda: environments at once", 1_000, "more on request; then a load balancer"),
    Quota("table_writes", "DynamoDB: write units a second and table", 40_000, "a heartbeat a worker; more on request"),
    Quota("puts", "S3: PUTs a second and partitioned prefix", 3_500, "prefixes split by themselves; principals spread"),
    Quota("vcpus", "Fargate: vCPUs on demand", 6, "more on request, and with use; accounts as cells"),
    Quota("addresses", "VPC: addresses of two /20 subnets", 8_182, "larger subnets"),
    Quota("streams", "Model: streams at once (look it up)", 20, "more on request; several regions or providers"),
)

PRICES: Final = {
    "API Gateway, message": 1.00 / 1e6,
    "API Gateway, connection minute": 0.25 / 1e6,
    "Lambda, request": 0.20 / 1e6,
    "Lambda, GB-second (arm64)": 0.0000133334,
    "Fargate, vCPU hour (arm64)": 0.03238,
    "Fargate, GB hour (arm64)": 0.00356,
    "public IPv4 address, hour": 0.005,
    "SQS, FIFO request": 0.50 / 1e6,
    "data out, GB": 0.09,
    "between zones, GB, each way": 0.01,
    "log lines, GB": 0.50,
}


def voice_hour(load: Load, sessions: int) -> dict[str, float]:
    """US dollars of one conversation of an hour, by component, without the model."""

    def hour(name: str) -> float:
        return load.mean(name) / sessions * 3600

    task = 1 / ASSUMED["sessions a task"]
    environment = ASSUMED["message function, ms"] / 1000 * ASSUMED["message function, GB"]
    fargate = PRICES["Fargate, vCPU hour (arm64)"] + 2 * PRICES["Fargate, GB hour (arm64)"]
    return {
        "API Gateway: messages": hour("messages") * PRICES["API Gateway, message"],
        "API Gateway: connection": 60 * PRICES["API Gateway, connection minute"],
        "Lambda: message function": hour("up")
        * (PRICES["Lambda, request"] + environment * PRICES["Lambda, GB-second (arm64)"]),
        "Fargate: its part of a task": task * fargate,
        "public address: its part": task * PRICES["public IPv4 address, hour"],
        "DynamoDB: commits, heartbeats": hour("table_writes") * DYNAMODB_WRITE_UNIT,
        "DynamoDB: routes read": hour("up") / 10 * DYNAMODB_READ_UNIT,
        "S3: commits, restores": hour("puts") * S3_WRITE + hour("gets") * S3_READ,
        # Sent by one zone and received by the other: both are billed.
        "between zones: frames to workers": (
            hour("sound") * ASSUMED["voice in, KB a second"]
            + hour("up") * ASSUMED["KB of a post to the worker and its answer, beside the sound"]
        )
        * ASSUMED["frames to a worker in another zone"]
        / 1e6
        * 2
        * PRICES["between zones, GB, each way"],
        "CloudWatch: log lines": ASSUMED["KB of log lines an hour, worker and functions"]
        / 1e6
        * PRICES["log lines, GB"],
        "data out: the voice": hour("speaking") * ASSUMED["voice out, KB a second"] / 1e6 * PRICES["data out, GB"],
    }


def text_turn() -> dict[str, float]:
    """US dollars of one question and its answer by text, by component, without the model."""
    commits = 2  # the question, the answer
    return {
        "API Gateway: five messages": 5 * PRICES["API Gateway, message"],
        "Lambda: message function": PRICES["Lambda, request"]
        + 0.5 * ASSUMED["message function, ms"] / 1000 * PRICES["Lambda, GB-second (arm64)"],
        "Lambda: the turn, 3 s of 1.8 GB": PRICES["Lambda, request"] + 3 * 1.8 * PRICES["Lambda, GB-second (arm64)"],
        "SQS: send, receive, delete": 3 * PRICES["SQS, FIFO request"],
        "DynamoDB: acquire, commit, release": (2 + commits) * DYNAMODB_WRITE_UNIT + 3 * DYNAMODB_READ_UNIT,
        "S3: restore, commits": MEASURED["restore: objects of 1,000 messages"] * S3_READ + commits * S3_WRITE,
    }


def binding(load: Load) -> list[tuple[Quota, float]]:
    """The quotas with the part of each that the busiest second takes, the fullest first."""
    used = [(quota, load.peak(quota.key) / quota.limit) for quota in QUOTAS]
    return sorted(used, key=lambda each: -each[1])


def tables() -> str:
    """All tables as Markdown."""
    loads = {size: simulate(size) for size in SIZES}
    parts = [
        _costs("A voice hour", voice_hour(loads[10_000], 10_000), 1, "an hour"),
        _silence(
            {
                "is sent": loads[10_000],
                "is marked": simulate(10_000, marks=True),
                "is marked, frames of 200 ms": simulate(10_000, marks=True, frame_ms=200),
            }
        ),
        *direct.sections(loads[10_000], simulate(10_000, marks=True), 10_000, voice_hour),
        _costs("A text turn", text_turn(), 1000, "1,000 turns"),
        "### What each size asks for",
        "",
        "The mean second, and the busiest of two minutes; needs that a quota bounds are in the next table.",
        "",
        _rates(loads),
        _quotas(loads),
    ]
    return "\n".join(parts)


def _costs(title: str, components: Mapping[str, float], times: int, unit: str) -> str:
    total = sum(components.values())
    ordered = sorted(components.items(), key=lambda each: -each[1])
    rows = [f"| {name} | {cost * times:.5f} | {cost / total:.0%} |" for name, cost in ordered]
    sums = f"| **in all, without the model** | **{total * times:.4f}** | |"
    return "\n".join([f"### {title}", "", f"| | US dollars {unit} | |", "|---|--:|--:|", *rows, sums, ""])


def _silence(loads: Mapping[str, Load]) -> str:
    def row(name: str, load: Load) -> str:
        hour = {key: load.mean(key) / 10_000 * 3600 for key in ("up", "messages")}
        cost = sum(voice_hour(load, 10_000).values())
        return f"| {name} | {hour['up']:,.0f} | {hour['messages']:,.0f} | {cost:.4f} |"

    head = "| the microphone's silence | messages up | messages in all | US dollars |"
    rows = [row(name, load) for name, load in loads.items()]
    return "\n".join(["### A voice hour with and without silence", "", head, "|---|--:|--:|--:|", *rows, ""])


_RATES: Final = {
    "commits": "commits a second",
    "settled": "writes a second that settle silence",
    "beats": "heartbeats a second, one a session",
    "beats_a_worker": "heartbeats a second, were there one a worker",
    "gets": "S3 GETs a second",
}
"""Needs that no quota bounds alone; the others are in the table of quotas."""


def _rates(loads: Mapping[int, Load]) -> str:
    head = f"| | {' | '.join(f'{size:,}' for size in loads)} |"
    rows = [
        f"| {text} | {' | '.join(f'{load.mean(key):,.0f} ({load.peak(key):,.0f})' for load in loads.values())} |"
        for key, text in _RATES.items()
    ]
    return "\n".join([head, "|---|" + "--:|" * len(loads), *rows, ""])


def _quotas(loads: Mapping[int, Load]) -> str:
    def row(quota: Quota) -> str:
        needed = [
            f"{load.peak(quota.key):,.0f} ({_share(load.peak(quota.key) / quota.limit)})" for load in loads.values()
        ]
        return f"| {quota.what} | {quota.limit:,.0f} | {' | '.join(needed)} | {quota.change} |"

    sizes = " | ".join(f"{size:,}" for size in loads)
    rows = [row(quota) for quota, _ in binding(loads[10_000])]
    head = [f"| quota | without asking | {sizes} | what helps |", "|---|--:|" + "--:|" * len(loads) + "---|"]
    says = "What the busiest second needs, and the part of the quota that this is; the fullest at 10,000 first."
    return "\n".join(["### What binds first", "", says, "", *head, *rows, ""])


def _share(used: float) -> str:
    return f"**{used:,.1f} x**" if used >= 1 else f"{used:.0%}"


def written(page: str) -> str:
    """A page with the tables between its markers."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{after}"


def main() -> None:
    """Print the tables, or write them into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=Path, help="page to write the tables into; default: print them")
    page: Path | None = parser.parse_args().docs
    if page is None:
        print(tables())
    else:
        page.write_text(written(page.read_text(encoding="utf-8")), encoding="utf-8")
