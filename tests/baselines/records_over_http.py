"""Chunks, windows and overviews over HTTP, by the same lean client for everyone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing

from tests.baselines import our_forms
from tests.baselines.calls import Client, ProcessorTime, take_turns
from tests.baselines.records_plan import (
    Answer,
    Plan,
    chunk_of,
    figures,
    places,
    seconds_of,
    slow_turns,
)
from tests.baselines.row_store import Way
from tests.support.night import KEYS


def ingest(plan: Plan) -> Answer:
    """Post one-second chunks over HTTP, one after another, each acknowledged when durable."""
    turns = plan.calls
    seconds = list(seconds_of(plan.night, turns + 1))
    with ExitStack() as stack:
        peer = stack.enter_context(closing(Client(plan.peer["url"])))
        ours = stack.enter_context(closing(Client(plan.ours["url"])))
        calls: dict[str, Callable[[int], int]] = {}
        for way in Way:
            bodies = [
                json.dumps(chunk_of(plan.patient, f"posted-{way}", number, second)).encode()
                for number, second in enumerate(seconds)
            ]
            calls[f"rows {way}"] = _posted(peer, f"/ingest?way={way}", bodies)
        for form, made in our_forms.INGEST.items():
            calls[f"ours {form}"] = made(ours, plan.patient, f"posted-{form}", seconds)
        few = {f"rows {way}": max(3, turns // 5) for way in (Way.ORM, Way.CORE, Way.COPY)}
        everyone = {name: few.get(name, turns) for name in calls}
        theirs = [plan.peer["pid"], *plan.postgres()]
        pids = {name: theirs if name.startswith("rows") else [plan.ours["pid"]] for name in calls}
        return figures(
            take_turns(calls, everyone, pids, own=False, prepare=connecting((peer, ours)))
        )


def _posted(client: Client, path: str, bodies: list[bytes]) -> Callable[[int], int]:
    def call(turn: int) -> int:
        client.post(path, bodies[turn])
        return len(bodies[turn])

    return call


def http(plan: Plan) -> Answer:
    """Ask for windows of all channels over HTTP, in every form that each of them speaks."""
    answer: Answer = {}
    with (
        closing(Client(plan.peer["url"])) as peer,
        closing(Client(plan.ours["url"])) as ours,
    ):
        for length in plan.windows():
            row_at, at = places(plan, length)
            calls: dict[str, Callable[[int], int]] = {
                f"rows {way}": _asked(peer, "/eeg", plan, row_at, length, way=str(way))
                for way in (Way.ORM, Way.CORE)
            }
            for form in ("json", "raw"):
                calls[f"blobs {form}"] = _asked(peer, "/blobs/eeg", plan, at, length, form=form)
            for form, options in our_forms.QUERY.items():
                calls[f"ours {form}"] = _asked(ours, "/eeg", plan, at, length, **options)
            answer[str(length)] = _compared(plan, calls, length, (peer, ours))
    return answer


def seed_table(plan: Plan) -> Answer:
    """Ask for windows in the seed's own JSON: one channel of 1 s, and all channels."""
    answer: Answer = {}
    with (
        closing(Client(plan.peer["url"])) as peer,
        closing(Client(plan.ours["url"])) as ours,
    ):
        one = {"channels": KEYS[0]}
        for length, options in ((1, one), *((length, {}) for length in plan.windows())):
            row_at, at = places(plan, length)
            calls = {
                f"rows {way}": _asked(peer, "/eeg", plan, row_at, length, way=str(way), **options)
                for way in (Way.ORM, Way.CORE)
            }
            calls["ours json"] = _asked(ours, "/eeg", plan, at, length, **options)
            name = f"{length} one" if options else str(length)
            answer[name] = _compared(plan, calls, length, (peer, ours))
    return answer


def _asked(
    client: Client,
    path: str,
    plan: Plan,
    at: Callable[[int], int],
    length: int,
    **options: str,
) -> Callable[[int], int]:
    def call(turn: int) -> int:
        span = {"start": at(turn), "end": at(turn) + length}
        names = {"patient_id": plan.patient, "recording_id": plan.recording}
        return len(client.get(path, **names, **span, **options))

    return call


def _compared(
    plan: Plan,
    calls: dict[str, Callable[[int], int]],
    length: int,
    clients: Sequence[Client],
) -> Answer:
    slow = slow_turns(plan, length)
    turns = {name: slow.get(name, max(3, plan.calls // 2)) for name in calls}
    theirs = [plan.peer["pid"], *plan.postgres()]
    pids = {name: [plan.ours["pid"]] if name.startswith("ours") else theirs for name in calls}
    timed = take_turns(calls, turns, pids, own=False, prepare=connecting(clients))
    return figures(timed)


def connecting(clients: Sequence[Client]) -> Callable[[], None]:
    def connect() -> None:
        for client in clients:
            client.connect()

    return connect


def batches(plan: Plan) -> Answer:
    """Post batches from eight devices at once; return the chunks per second."""
    return our_forms.batches(plan.ours, plan.patient, list(seconds_of(plan.night, 60)), plan.calls)


def full_file(plan: Plan) -> Answer:
    """Post the first recording as a device would, every second of what the rows hold, as JSON."""
    bodies = [
        json.dumps(chunk_of(plan.patient, "whole", number, second)).encode()
        for number, second in enumerate(seconds_of(plan.night, plan.row_s))
    ]
    with closing(Client(plan.ours["url"])) as ours:
        our_forms.declare(ours, plan.patient, "whole")
        used, began = ProcessorTime([plan.ours["pid"]]), time.perf_counter()
        for body in bodies:
            ours.post("/ingest", body)
        wall_s = time.perf_counter() - began
    return {
        "wall_s": wall_s,
        "cpu_s": used.seconds(),
        "chunks": len(bodies),
    }


def overview(plan: Plan) -> Answer:
    """Draw the whole night at 2,000 pixels, in process and over HTTP."""
    from storage.recording_store import RecordingStore

    with (
        RecordingStore.open(plan.store_url, plan.catalog_url) as store,
        closing(Client(plan.ours["url"])) as ours,
    ):
        calls = {
            "in process": our_forms.overview_reader(store, plan.patient, plan.recording, 2000),
            "HTTP": our_forms.overview_asker(ours, plan.patient, plan.recording, 2000),
        }
        turns = dict.fromkeys(calls, plan.calls)
        pids = {"in process": [], "HTTP": [plan.ours["pid"]]}
        inside = take_turns({"in process": calls["in process"]}, turns, pids, own=True)
        prepare = connecting((ours,))
        outside = take_turns({"HTTP": calls["HTTP"]}, turns, pids, own=False, prepare=prepare)
    return figures(inside | outside)
