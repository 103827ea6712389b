"""Spans of the worker, kept in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

from worker.telemetry.tracing import tracing


@contextmanager
def collected() -> Iterator[InMemorySpanExporter]:
    """Collect the worker's spans; nothing is sampled but what a frame says is."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=ParentBased(root=ALWAYS_OFF), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.to(provider)
    try:
        yield exporter
    finally:
        tracing.to(None)
