"""The measurements of the viewer beside its peers, in a real browser without a graphics card.

``python -m tests.baselines.viewer_jobs PLAN.json JOB...`` prints what was measured as JSON. Whoever
is compared takes turns in one browser.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser

from tests.baselines.viewer_pages import TimedPage, Turn, by_click, by_key, to
from tests.support.browser import ABSENT, chromium, running_browser

Answer = dict[str, Any]
KINDS = {"scattergl": "gl", "scatter": "svg"}
KEYS_PER_S = 30
SETTLE_MS = 500


@dataclass(frozen=True)
class Plan:
    """Where everything is, and how much is measured.

    Parameters
    ----------
    viewer, peer
        Addresses.
    services
        Process numbers of the services of ``viewer`` and ``peer``.
    patient, recording, seconds
        What is looked at, and how long it is.
    turns
        Page turns by the length of a page.
    pace_ms
        How long a page is read.
    first
        How often the first page is opened.
    through
        Page turns without reading, by the length of a page.
    held_s
        How long a key is held.
    """

    viewer: str
    peer: str
    services: dict[str, list[int]]
    patient: str
    recording: str
    seconds: float
    turns: dict[str, int]
    pace_ms: float
    first: int
    through: dict[str, int]
    held_s: float

    def open_ours(self, browser: Browser, **view: Any) -> tuple[TimedPage, float]:
        """Return a page of the viewer, and how long it took to be shown."""
        page = TimedPage(browser, self.services["viewer"])
        return page, page.open(self.viewer, patient=self.patient, recording=self.recording, **view)

    def open_peer(self, browser: Browser, name: str, **view: Any) -> tuple[TimedPage, float]:
        """Return a page of a peer, and how long it took to be shown."""
        page = TimedPage(browser, self.services["peer"])
        return page, page.open(self.peer, kind=KINDS[name], **view)


def first_page(plan: Plan, browser: Browser) -> Answer:
    """Open the recording with an empty cache, and again with a full one."""
    taken: dict[str, list[float]] = {"ours": [], "ours again": [], **{name: [] for name in KINDS}}
    for _ in range(plan.first):
        page, ms = plan.open_ours(browser)
        taken["ours"].append(ms)
        page.page.goto("about:blank")
        link = {"patient": plan.patient, "recording": plan.recording}
        taken["ours again"].append(page.open(plan.viewer, **link))
        page.close()
        for name in KINDS:
            page, ms = plan.open_peer(browser, name)
            taken[name].append(ms)
            page.close()
    return {name: _spread(ms) | {"opened": len(ms)} for name, ms in taken.items()}


def turns(plan: Plan, browser: Browser) -> Answer:
    """Turn pages, one program after the other."""
    found: Answer = {}
    for length, count in plan.turns.items():
        window = float(length)
        pages = {name: plan.open_peer(browser, name, t=0, w=length)[0] for name in KINDS}
        ours, _ = plan.open_ours(browser, w=length)
        jumps, _ = plan.open_ours(browser, w=length)
        # Never a page that lies beside one that was seen: it would have been fetched before.
        places = random.Random(0).sample(range(2, int(plan.seconds / window / 4)), count + 1)
        made: dict[str, list[Turn]] = {name: [] for name in ("key", "jump", *KINDS)}
        for number in range(count + 1):
            place = 4 * window * places[number]
            one = {
                "key": ours.turn(by_key, plan.pace_ms),
                "jump": jumps.turn(to(place), plan.pace_ms),
                **{name: page.turn(by_click, plan.pace_ms) for name, page in pages.items()},
            }
            if number:  # once beside the count, so that nobody starts cold
                for name, turn in one.items():
                    made[name].append(turn)
        found[length] = {name: _figures(each) for name, each in made.items()}
        found[length]["points"] = {
            "ours": ours.page.evaluate(
                "Object.values(ranvier.drawn.rows).map((row) => row.values.length)"
            ),
            **{
                name: page.page.evaluate(
                    "document.querySelector('.js-plotly-plot')._fullData.map((t) => t.y.length)"
                )
                for name, page in pages.items()
            },
        }
        for page in (ours, jumps, *pages.values()):
            page.close()
    return found


def through(plan: Plan, browser: Browser) -> Answer:
    """Page through the night, each page as soon as the one before is shown."""
    found: Answer = {}
    for length, count in plan.through.items():
        page, _ = plan.open_ours(browser, w=length)
        tools = page.page.context.new_cdp_session(page.page)
        opening = _settle(page)
        before = _heap(tools)
        began = time.perf_counter()
        made = [page.turn(by_key) for _ in range(count)]
        elapsed = time.perf_counter() - began
        found[length] = {
            **_figures(made),
            "elapsed_s": elapsed,
            "opening_task_ms": opening,
            "longest_task_ms": page.page.evaluate("stopwatch.longestTask"),
            "heap_before_mb": before,
            "heap_after_mb": _heap(tools),
            "at_s": page.page.evaluate("ranvier.drawn.start"),
        }
        page.close()
    return found


def held(plan: Plan, browser: Browser) -> Answer:
    """Hold a key down, as a keyboard repeats it."""
    page, _ = plan.open_ours(browser, w=10)
    _settle(page)
    began = time.perf_counter()
    count = round(plan.held_s * KEYS_PER_S)
    for number in range(count):
        page.page.keyboard.down("ArrowRight")
        time.sleep(max(0.0, began + (number + 1) / KEYS_PER_S - time.perf_counter()))
    page.page.keyboard.up("ArrowRight")
    # Every key counts, drawn or overtaken: the page that is shown in the end is so many further.
    page.page.wait_for_function(
        "place => Math.abs(ranvier.drawn.start - place) < 1e-6",
        arg=min(10.0 * count, plan.seconds - 10),
    )
    seen = page.page.evaluate("JSON.parse(JSON.stringify(stopwatch))")
    page.close()
    lag = seen["draws"][-1] - seen["keys"][-1]
    return {
        "keys": len(seen["keys"]),
        "draws": len(seen["draws"]),
        "seconds": plan.held_s,
        "longest_pause_ms": float(max(np.diff(seen["draws"]), default=0)),
        "last_ms": lag,
        "longest_task_ms": seen["longestTask"],
    }


def browser_version(_: Plan, browser: Browser) -> Answer:
    """Say which browser it is."""
    return {"version": browser.version}


def _settle(page: TimedPage) -> float:
    """Wait until the overview stands; return the longest task until then, and count from now on."""
    page.page.wait_for_function(
        "() => stopwatch.plotted('overview') && stopwatch.plotted('density')"
    )
    page.page.wait_for_timeout(SETTLE_MS)
    return float(page.page.evaluate("stopwatch.restart()"))


def _heap(tools: Any) -> float:
    """Return what the page holds after a collection, in MB: objects, and arrays of numbers."""
    tools.send("HeapProfiler.enable")
    tools.send("HeapProfiler.collectGarbage")
    used = tools.send("Runtime.getHeapUsage")
    return float((used["usedSize"] + used.get("backingStorageSize", 0)) / 1e6)


def _figures(made: list[Turn]) -> Answer:
    return {
        **_spread([turn.shown_ms for turn in made]),
        "drawn_ms": float(np.median([turn.drawn_ms for turn in made])),
        "browser_ms": float(np.mean([turn.browser_ms for turn in made])),
        "services_ms": float(np.mean([turn.services_ms for turn in made])),
        "bytes": round(float(np.mean([turn.size for turn in made]))),
        "turns": len(made),
    }


def _spread(ms: list[float]) -> Answer:
    return {
        "p50_ms": float(np.percentile(ms, 50)),
        "p95_ms": float(np.percentile(ms, 95)),
        "min_ms": min(ms),
        "max_ms": max(ms),
    }


JOBS: dict[str, Callable[[Plan, Browser], Answer]] = {
    job.__name__: job for job in (browser_version, first_page, turns, through, held)
}


def main() -> None:
    """Do some jobs; without any, say whether there is a browser."""
    if not sys.argv[1:]:
        print(json.dumps({"browser": chromium(), "absent": ABSENT}))
        return
    plan = Plan(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    with running_browser() as browser:
        print(json.dumps({job: JOBS[job](plan, browser) for job in sys.argv[2:]}))


if __name__ == "__main__":
    main()
