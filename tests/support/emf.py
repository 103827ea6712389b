"""Reader of metrics in CloudWatch's Embedded Metric Format, as strict as the format's specification.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from typing import Annotated, Literal
from unittest import mock

from msgspec import Meta, Struct, field
from msgspec.json import decode

Name = Annotated[str, Meta(min_length=1, max_length=255)]


class Definition(Struct, forbid_unknown_fields=True):
    name: Name = field(name="Name")
    unit: Literal["Bytes", "Count", "Milliseconds"] = field(name="Unit")
    resolution: Literal[1, 60] = field(name="StorageResolution", default=60)


class Directive(Struct, forbid_unknown_fields=True):
    namespace: Name = field(name="Namespace")
    dimensions: Annotated[list[Annotated[list[Name], Meta(max_length=30)]], Meta(min_length=1)] = field(
        name="Dimensions"
    )
    metrics: Annotated[list[Definition], Meta(min_length=1, max_length=100)] = field(name="Metrics")


class Metadata(Struct, forbid_unknown_fields=True):
    timestamp: int = field(name="Timestamp")
    directives: Annotated[list[Directive], Meta(min_length=1)] = field(name="CloudWatchMetrics")


class Line(Struct):
    metadata: Metadata = field(name="_aws")


Metric = tuple[str, str, frozenset[tuple[str, str]]]
"""Namespace, name, dimensions."""


def read(text: str) -> tuple[set[Metric], dict[str, list[float]]]:
    """The metrics of some lines, each of which must be one of the format, and the values by name."""
    found, told = set(), defaultdict(list)
    for line in text.splitlines():
        content = json.loads(line)
        for directive in decode(line, type=Line).metadata.directives:
            for dimensions in directive.dimensions:
                by = frozenset((name, str(content[name])) for name in dimensions)
                for metric in directive.metrics:
                    values = content[metric.name]
                    values = values if isinstance(values, list) else [values]
                    assert 0 < len(values) <= 100
                    assert all(isinstance(value, int | float) for value in values)
                    found.add((directive.namespace, metric.name, by))
                    told[metric.name] += values
    return found, dict(told)


class Told:
    """Metrics emitted since a test began to listen.

    Attributes:
        found: Which metrics.
        values: Of each name.
    """

    def __init__(self, written: io.StringIO) -> None:
        self._written = written

    @property
    def found(self) -> set[Metric]:
        return read(self._written.getvalue())[0]

    @property
    def values(self) -> dict[str, list[float]]:
        return read(self._written.getvalue())[1]


@contextlib.contextmanager
def metrics_told(*, service: str, stage: str) -> Iterator[Told]:
    """Listen to what a function of this service and stage tells."""
    written = io.StringIO()
    names = {"POWERTOOLS_SERVICE_NAME": service, "SEGUE_STAGE": stage}
    with mock.patch.dict(os.environ, names), contextlib.redirect_stdout(written):
        yield Told(written)
    read(written.getvalue())  # all that was emitted has the format, also what the test does not look at
