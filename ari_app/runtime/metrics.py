"""What the controller did and what it holds, in Prometheus' words.

Contract: one registry of its own for each `Metrics`. Counters and times are told by observer calls;
what is live now is read at each scrape. Labels are bounded: outcomes, places, operations and our
own numbers, never an id, a caller or what somebody dialled.
"""

import time
from collections import Counter as Tally
from collections.abc import Awaitable, Callable, Iterable, Sized
from typing import get_args

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ari_app.ari import requests
from ari_app.ari.client import Reply
from ari_app.ari.requests import UNSENT, Request
from ari_app.core import agent, call
from ari_app.core.call import Call, Ended, Place, Ringing, Waiting
from ari_app.core.events import MICROSECONDS
from ari_app.runtime.clock import Clock
from ari_app.runtime.controller import Observer
from ari_app.runtime.mind import Mind
from ari_app.store.engine import StoreError
from ari_app.store.store import Batch

CONTENT_TYPE = CONTENT_TYPE_LATEST
PLACES = tuple(kind.__name__ for kind in get_args(Place))
TURN_S = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5)
IO_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
BATCH = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

_METHODS = frozenset({"GET", "POST", "PUT", "DELETE"})
_WORDS = frozenset(
    [
        "channels",
        "bridges",
        "playbacks",
        "endpoints",
        "applications",
        "asterisk",
        "deviceStates",
        "sounds",
        "recordings",
        "ring",
        "answer",
        "continue",
        "moh",
        "play",
        "hangup",
        "addChannel",
        "removeChannel",
        "variable",
        "variables",
        "subscription",
        "eventFilter",
        "config",
        "dynamic",
        "res_pjsip",
        "auth",
        "aor",
        "endpoint",
        "info",
        "ping",
        "sendMessage",
        "live",
        "stored",
    ]
)

Send = Callable[[Request], Awaitable[Reply]]


class Metrics(Observer):
    """Everything counted. `page()` is what a scrape gets."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"sharedline_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"sharedline_{name}", text, labels, buckets=buckets, registry=registry)

        self._calls = counter("calls", "Calls that ended, by how.", "outcome")
        self._offers = counter("offers", "Offers to agents that ended, by how.", "outcome")
        self._steps = counter("steps", "Events handled, by kind.", "event")
        self._turn_s = histogram("turn_seconds", "Deciding one turn, without its commit.", TURN_S)
        self._batch = histogram("batch_happenings", "Happenings in one turn.", BATCH)
        self._commit_s = histogram("commit_seconds", "One commit that succeeded.", IO_S)
        self._commit_failures = counter("commit_failures", "Commits that failed.")
        self._connects = counter("reconnects", "Times Asterisk was lost and found again.")
        ari = ("operation", "outcome")
        self._ari_s = histogram(
            "ari_request_seconds", "One request to Asterisk.", IO_S, "operation"
        )
        self._ari = counter("ari_requests", "Requests to Asterisk, by their outcome.", *ari)
        self._was_up = False
        for why in call.Why:
            self._calls.labels(why.value)
        for outcome in agent.Outcome:
            self._offers.labels(outcome.value)

    def page(self) -> bytes:
        """All metrics as text."""
        return generate_latest(self._registry)

    def look_at(self, mind: Mind, inbox: Sized, outbox: Sized, clock: Clock) -> None:
        """From now on a scrape also tells what these hold."""
        self._registry.register(_Live(mind, inbox, outbox, clock))

    # --- what the controller tells ---

    def decided(self, happenings: int, seconds: float) -> None:
        """A turn was made."""
        self._turn_s.observe(seconds)
        self._batch.observe(happenings)

    def tried(self, seconds: float, error: StoreError | None) -> None:
        """A commit succeeded or failed."""
        if error is None:
            self._commit_s.observe(seconds)
        else:
            self._commit_failures.inc()

    def committed(self, batch: Batch) -> None:
        """It is in the database, so it happened."""
        for record in batch.records:
            self._steps.labels(type(record.event).__name__).inc()
        for attempt in batch.attempts:
            self._offers.labels(attempt.outcome.value).inc()
        for now, before in batch.calls:
            ended_before = before is not None and isinstance(before.place, Ended)
            if isinstance(now.place, Ended) and not ended_before:
                self._calls.labels(now.place.why.value).inc()

    # --- what happens at the edge ---

    def connected(self) -> None:
        """Asterisk is there; the first time is no reconnect."""
        if self._was_up:
            self._connects.inc()
        self._was_up = True

    def timed(self, send: Send) -> Send:
        """The same `send`, timed and counted."""

        async def timed_send(request: Request) -> Reply:
            began = time.perf_counter()
            reply = await send(request)
            name = operation(request)
            self._ari_s.labels(name).observe(time.perf_counter() - began)
            self._ari.labels(name, _outcome(request, reply.status)).inc()
            return reply

        return timed_send


def operation(request: Request) -> str:
    """`POST /channels/*/ring`: only words that we know; everything else is a star."""
    method = request.method if request.method in _METHODS else "*"
    parts = request.path.strip("/").split("/")[:6]
    return f"{method} /" + "/".join(part if part in _WORDS else "*" for part in parts)


def _outcome(request: Request, status: int) -> str:
    return "unsent" if status == UNSENT else requests.outcome(request, status).value


class _Live(Collector):
    """Reads what is live, in the event loop, while a scrape is being answered."""

    def __init__(self, mind: Mind, inbox: Sized, outbox: Sized, clock: Clock) -> None:
        self._mind, self._inbox, self._outbox, self._clock = mind, inbox, outbox, clock

    def collect(self) -> Iterable[GaugeMetricFamily]:
        calls = self._mind.live.calls.values()
        yield _gauge("inbox_depth", "Happenings that wait to be handled.", len(self._inbox))
        yield _gauge("outbox_depth", "Commands without an answer yet.", len(self._outbox))
        places = Tally(type(each.place).__name__ for each in calls)
        here = {place: float(places[place]) for place in PLACES}
        yield _gauges("calls_live", "Calls now, by where they stand.", "place", here)
        yield from self._lines(calls)

    def _lines(self, calls: Iterable[Call]) -> Iterable[GaugeMetricFamily]:
        """What was dialled but is no number of ours would be a label without bound: left out."""
        length = dict.fromkeys(self._mind.directory.config.plans, 0.0)
        oldest_s = dict(length)
        now = self._clock()
        for each in calls:
            if each.number in length and isinstance(each.place, Waiting | Ringing):
                length[each.number] += 1
                waited_s = (now - each.arrived_at) / MICROSECONDS
                oldest_s[each.number] = max(oldest_s[each.number], waited_s)
        yield _gauges("line_length", "Callers waiting or ringing.", "number", length)
        yield _gauges("line_oldest_wait_seconds", "The longest of their waits.", "number", oldest_s)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"sharedline_{name}", text, value=value)


def _gauges(name: str, text: str, label: str, values: dict[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"sharedline_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
