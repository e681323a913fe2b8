"""Counters and bounded histograms of a service, and `/metrics` in the text form of Prometheus."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Meters:
    """The meters of one service, apart from those of any other in the process.

    Parameters
    ----------
    service
        Its name, part of every metric's.
    """

    def __init__(self, service: str) -> None:
        self.registry = CollectorRegistry()
        self.prefix = f"ranvier_{service}"
        self.requests = self.counter("requests", "Requests by outcome", "method", "route", "status")
        self.seconds = self.histogram("request_seconds", "Time to answer", "method", "route")
        self.waiting = self.gauge("requests_in_progress", "Requests being answered")

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """Return a new counter."""
        return Counter(f"{self.prefix}_{name}", text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """Return a new gauge."""
        return Gauge(f"{self.prefix}_{name}", text, labels, registry=self.registry)

    def histogram(self, name: str, text: str, *labels: str) -> Histogram:
        """Return a new histogram of seconds."""
        return Histogram(
            f"{self.prefix}_{name}", text, labels, buckets=BUCKETS_S, registry=self.registry
        )

    def answer(self) -> Response:
        """Return all meters as Prometheus reads them."""
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)


class Metered:
    """Counts and times the requests of an application, by route and never by identifier."""

    def __init__(self, app: ASGIApp, meters: Meters) -> None:
        self._app = app
        self._meters = meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._meters.waiting.inc()
        try:
            await self._app(scope, receive, note)
        finally:
            self._meters.waiting.dec()
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if route != "none" else "any"
            self._meters.requests.labels(method, route, status).inc()
            self._meters.seconds.labels(method, route).observe(time.perf_counter() - began)
