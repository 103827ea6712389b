"""The direct transport at the same load: a voice hour at 10, 1,000 and 10,000 calls.

client ══TLS══▶ Network Load Balancer ──▶ worker, any ──(until the session has followed)──▶ holder
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.measuring.prices import DYNAMODB_WRITE_UNIT
from benchmarks.scale.bounds import bounds, bounds_section
from benchmarks.scale.load import ASSUMED as ALL
from benchmarks.scale.load import Load
from infra.config import BALANCER_TARGETS, ROLLING

CALLS: Final = (10, 1_000, 10_000)

PRICES: Final = {
    "load balancer, hour": 0.0225,
    "load balancer, unit hour": 0.006,
    "public IPv4 address, hour": 0.005,
    "between zones, GB, each way": 0.01,
    "data out, GB": 0.09,
    "Fargate, task hour (arm64, 1 vCPU, 2 GB)": 0.03238 + 2 * 0.00356,
}
UNIT: Final = {"GB an hour": 1.0, "connections": 3_000.0, "new connections a second": 50.0}
"""One unit of a Network Load Balancer's capacity with TLS; the largest of the three is billed."""

ASSUMED: Final = {
    "sound in, KB a second": 32.0,
    "sound out, KB a second": 48.0,
    "base64": 4 / 3,
    "KB of a frame beside its sound": 0.2,
    "frames to the client a second, beside sound": 1.0,
    "frames that pass by another worker": 0.05,
    "KB of a post to a worker and its answer, beside the frame": 1.0,
    "zones": 2,
    "tasks at least": 2,
    "writes of a call's rows": 4.0,
    "seconds between renewals of a row": 240.0,
}
"""Assumptions beside those of ``benchmarks.scale.load``. Sound is PCM of 16 bits, 16 kHz in and 24 kHz out. A frame
costs headers of its own, of the WebSocket, of TLS and of TCP. A twentieth of the frames reaches a worker that is not
the holder: a session is taken by the worker where its call arrives, and follows its socket when that has moved."""


def crosses(calls: int) -> bool:
    """True if the load balancer spreads over all zones: as ``infra.config`` decides."""
    return ROLLING * tasks(calls) <= BALANCER_TARGETS


def tasks(calls: int) -> int:
    """Tasks for so many calls, 70 % of their sessions in use."""
    return max(int(ASSUMED["tasks at least"]), math.ceil(calls / ALL["sessions a task"]))


type Hour = dict[str, float]
"""US dollars by component."""


@dataclass(frozen=True)
class Traffic:
    """Kilobytes and frames of one call in a second."""

    up: float
    down: float
    frames_up: float

    @classmethod
    def of(cls, load: Load, sessions: int, *, binary: bool = True) -> Traffic:
        """The traffic of a simulated load.

        Args:
            load: What was simulated.
            sessions: Conversations in it.
            binary: Whether sound is sent as it is, or in base64.
        """
        each = {name: load.mean(name) / sessions for name in ("up", "sound", "speaking")}
        coding_factor = 1.0 if binary else ASSUMED["base64"]
        overhead = ASSUMED["KB of a frame beside its sound"]
        frames_down = each["speaking"] * 1000 / ALL["audio a post, ms"]
        frames_down += ASSUMED["frames to the client a second, beside sound"]
        return cls(
            up=each["sound"] * ASSUMED["sound in, KB a second"] * coding_factor + each["up"] * overhead,
            down=each["speaking"] * ASSUMED["sound out, KB a second"] * coding_factor + frames_down * overhead,
            frames_up=each["up"],
        )


def units(traffic: Traffic, calls: int, new_a_second: float) -> dict[str, float]:
    """Capacity units of the load balancer, by what they are counted by."""
    hour = (traffic.up + traffic.down) * 3600 / 1e6
    return {
        "GB an hour": calls * hour / UNIT["GB an hour"],
        "connections": calls / UNIT["connections"],
        "new connections a second": new_a_second / UNIT["new connections a second"],
    }


def voice_hour(load: Load, sessions: int, calls: int, stored: Hour, *, binary: bool = True) -> Hour:
    """US dollars of one conversation of an hour, by component, without the model.

    Args:
        load: What was simulated, of which each call is like another.
        sessions: Conversations in it.
        calls: Calls at once, which share what is paid by the hour.
        stored: Components that are the same through API Gateway: storage and log lines.
        binary: Whether sound is sent as it is, or in base64.
    """
    traffic = Traffic.of(load, sessions, binary=binary)
    connects = load.mean("connects") / sessions * calls
    posts = 2 * traffic.frames_up * ASSUMED["KB of a post to a worker and its answer, beside the frame"]
    passed_on = ASSUMED["frames that pass by another worker"] * (traffic.up + traffic.down + posts)
    other_zone_share = 1 - 1 / ASSUMED["zones"]
    gb_across_zones = (
        (passed_on + (traffic.up + traffic.down if crosses(calls) else 0.0)) * other_zone_share * 3600 / 1e6
    )
    rows = 3600 / ASSUMED["seconds between renewals of a row"] * 2
    rows += load.mean("connects") / sessions * 3600 * ASSUMED["writes of a call's rows"]
    return {
        "load balancer: its hour": PRICES["load balancer, hour"] / calls,
        "load balancer: capacity units": max(units(traffic, calls, connects).values())
        * PRICES["load balancer, unit hour"]
        / calls,
        "public addresses of the load balancer": ASSUMED["zones"] * PRICES["public IPv4 address, hour"] / calls,
        "Fargate: tasks": tasks(calls) * PRICES["Fargate, task hour (arm64, 1 vCPU, 2 GB)"] / calls,
        "public addresses of the tasks": tasks(calls) * PRICES["public IPv4 address, hour"] / calls,
        # Sent by one zone and received by the other: both are billed.
        "between zones: to workers, among workers": gb_across_zones * 2 * PRICES["between zones, GB, each way"],
        "DynamoDB: rows of connections": rows * DYNAMODB_WRITE_UNIT,
        "data out: the voice": traffic.down * 3600 / 1e6 * PRICES["data out, GB"],
        **stored,
    }


STORED: Final = ("DynamoDB: commits, heartbeats", "S3: commits, restores", "CloudWatch: log lines")
"""Components of a voice hour that do not depend on the transport."""


def sections(
    sent: Load, marked: Load, sessions: int, through_api: Callable[[Load, int], dict[str, float]]
) -> list[str]:
    """The page's sections on the direct transport, as Markdown.

    Args:
        sent: The load of clients that send their microphones' silence.
        marked: Of those that mark it.
        sessions: Conversations in each.
        through_api: Components of a voice hour through API Gateway.
    """
    whole = through_api(sent, sessions)
    stored = {name: whole[name] for name in STORED}
    hours = {calls: voice_hour(sent, sessions, calls, stored) for calls in CALLS}
    variants = _variant_rows(sent, marked, sessions, stored)
    return [_hours(hours, variants), bounds_section(bounds(sent, sessions)), ""]


def _hours(hours: dict[int, Hour], variants: list[str]) -> str:
    header = f"| US dollars an hour of each call | {' | '.join(f'{calls:,} calls' for calls in hours)} |"
    order = sorted(hours[CALLS[1]], key=lambda name: -hours[CALLS[1]][name])
    rows = [f"| {name} | {' | '.join(f'{hour[name]:.5f}' for hour in hours.values())} |" for name in order]
    sums = " | ".join(f"**{sum(hour.values()):.4f}**" for hour in hours.values())
    rows += [f"| **in all, without the model** | {sums} |", *variants]
    return "\n".join(["### A voice hour on the direct transport", "", header, "|---|" + "--:|" * len(hours), *rows, ""])


def _variant_rows(sent: Load, marked: Load, sessions: int, stored: Hour) -> list[str]:
    """Rows with what an hour costs in all if clients mark silence, or send base64."""

    def row(name: str, load: Load, *, binary: bool) -> str:
        costs = [sum(voice_hour(load, sessions, calls, stored, binary=binary).values()) for calls in CALLS]
        return f"| {name} | {' | '.join(f'{cost:.4f}' for cost in costs)} |"

    return [
        row("in all, if silence is marked", marked, binary=True),
        row("in all, if frames are base64", sent, binary=False),
    ]
