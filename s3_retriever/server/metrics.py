"""What a server counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

__all__ = ["Metrics"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class _CacheLookups(Collector):
    """Counts that something else keeps."""

    def __init__(self, lookups: Callable[[], tuple[int, int]]) -> None:
        self._lookups = lookups

    def collect(self) -> Iterator[Metric]:
        """Both counts."""
        found = CounterMetricFamily(
            "s3_retriever_passage_cache",
            "Passages that a reading needed, by whether they had been read before.",
            labels=["result"],
        )
        hits, misses = self._lookups()
        found.add_metric(["hit"], hits)
        found.add_metric(["miss"], misses)
        yield found


class Metrics:
    """Counters of one server; no label holds what a client sent.

    Example:
        >>> metrics = Metrics()
        >>> metrics.projected(3, 0.02)
        >>> "s3_retriever_questions_total 3.0" in metrics.text().decode()
        True
    """

    def __init__(self) -> None:
        """Start at zero."""
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "s3_retriever_requests",
            "Requests answered.",
            ["route", "status"],
            registry=self.registry,
        )
        self._questions = Counter(
            "s3_retriever_questions", "Questions read by the model.", registry=self.registry
        )
        self._batches = Histogram(
            "s3_retriever_questions_per_pass",
            "Questions that shared a forward pass.",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self.registry,
        )
        self._stages = Histogram(
            "s3_retriever_stage_seconds",
            "Seconds of a stage.",
            ["stage"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._read = Counter(
            "s3_retriever_tokens_read", "Tokens of documents read.", registry=self.registry
        )
        self._written = Counter(
            "s3_retriever_tokens_written", "Tokens of answers written.", registry=self.registry
        )

    def gauge(self, name: str, help_text: str, value: Callable[[], float]) -> None:
        """Report a number that is asked for when metrics are."""
        Gauge(f"s3_retriever_{name}", help_text, registry=self.registry).set_function(value)

    def cache(self, lookups: Callable[[], tuple[int, int]]) -> None:
        """Report hits and misses of the cache of passages."""
        self.registry.register(_CacheLookups(lookups))

    def answered(self, route: str, status: int) -> None:
        """A request was answered.

        Args:
            route: the template of its path, which holds no id.
            status: of HTTP.
        """
        self._requests.labels(route, str(status)).inc()

    def projected(self, n_questions: int, seconds: float) -> None:
        """Some questions were read together."""
        self._questions.inc(n_questions)
        self._batches.observe(n_questions)
        self._stages.labels("project").observe(seconds)

    def searched(self, seconds: float) -> None:
        """A question was searched for."""
        self._stages.labels("search").observe(seconds)

    def read(self, tokens: int) -> None:
        """Tokens of documents were read."""
        self._read.inc(tokens)

    def written(self, tokens: int) -> None:
        """Tokens of an answer were written."""
        self._written.inc(tokens)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage."""
        began = perf_counter()
        try:
            yield
        finally:
            self._stages.labels(name).observe(perf_counter() - began)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)
