"""Pages of a real browser whose turns are timed, from the event of a key or click to pixels.

The end is the same for everybody: the program has drawn (the viewer says so, Plotly says
``plotly_afterplot``), and then two animation frames have begun, so that one of them was shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil
from playwright.sync_api import Browser, Page

from tests.baselines.calls import ProcessorTime

SIZE = {"width": 1600, "height": 1000}
WITHIN_MS = 120_000
STOPWATCH = Path(__file__).with_name("viewer_stopwatch.js").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Turn:
    """One page turn.

    Parameters
    ----------
    drawn_ms, shown_ms
        From the event until the program had drawn, and until that was shown.
    browser_ms, services_ms
        Processor time, until the next turn may begin.
    size
        Bytes of the answers that were fetched meanwhile.
    """

    drawn_ms: float
    shown_ms: float
    browser_ms: float
    services_ms: float
    size: int


class TimedPage:
    """One page of one program.

    Parameters
    ----------
    browser
        Where; the page has a context, and so a cache, of its own.
    services
        Processes that work for the page.
    """

    def __init__(self, browser: Browser, services: list[int]) -> None:
        self._context = browser.new_context(viewport=SIZE)  # type: ignore[arg-type]
        self._context.add_init_script(STOPWATCH)
        self._context.set_default_timeout(WITHIN_MS)
        self.page: Page = self._context.new_page()
        self._services = services

    def open(self, url: str, **members: Any) -> float:
        """Open a link; return the milliseconds from the beginning until a page was shown."""
        self.page.goto(f"{url}/?{urlencode(members)}", wait_until="commit")
        self.page.wait_for_function("() => window.stopwatch?.turns.length === 1")
        return float(self.page.evaluate("window.stopwatch.turns[0].shown"))

    def turn(self, act: Callable[[Page], object], pace_ms: float = 0) -> Turn:
        """Turn a page, and then read it for a while."""
        page = self.page
        page.bring_to_front()
        before, fetched = page.evaluate("[stopwatch.turns.length, stopwatch.fetched()]")
        browser, services = ProcessorTime(_browsers()), ProcessorTime(self._services)
        act(page)
        page.wait_for_function("before => stopwatch.turns.length > before", arg=before)
        if pace_ms:
            page.wait_for_timeout(pace_ms)
        turn, size = page.evaluate("[stopwatch.turns.at(-1), stopwatch.fetched()]")
        return Turn(
            drawn_ms=turn["drawn"] - turn["began"],
            shown_ms=turn["shown"] - turn["began"],
            browser_ms=1e3 * browser.seconds(),
            services_ms=1e3 * services.seconds(),
            size=size - fetched,
        )

    def close(self) -> None:
        """Close the page and forget what it cached."""
        self._context.close()


def by_key(page: Page) -> None:
    """Turn a page of the viewer as people do."""
    page.keyboard.press("ArrowRight")


def by_click(page: Page) -> None:
    """Turn a page of the peer as people do."""
    page.click("#next")


def to(seconds: float) -> Callable[[Page], None]:
    """Return how the viewer is sent somewhere else."""
    return lambda page: page.evaluate("seconds => stopwatch.jump(seconds)", seconds)


def _browsers() -> list[int]:
    """Return the topmost of the browser's processes."""
    found = [each for each in psutil.Process().children(recursive=True) if _is_browser(each)]
    return [each.pid for each in found if not _is_browser(each.parent())]


def _is_browser(process: psutil.Process | None) -> bool:
    return process is not None and "chrom" in process.name()
