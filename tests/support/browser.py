"""A real Chromium for tests: pages that are watched for errors, and what a page has drawn.

The browser is the system's: ``RANVIER_CHROMIUM``, or ``chromium`` on the path. Where there is none,
tests are skipped, or fail where ``RANVIER_REQUIRE_BROWSER`` is set, as ``.ci/run`` does.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    expect,
    sync_playwright,
)

NAMES = ("chromium", "chromium-browser", "google-chrome")
ABSENT = "no Chromium: apt-get install chromium, or set RANVIER_CHROMIUM to the program"
WITHIN_MS = 60_000  # a slow machine that does other things as well
# The graphics card is left out on purpose: the machines of hospitals rarely have one to give.
SWITCHES = ("--no-sandbox", "--disable-gpu", "--force-color-profile=srgb")
# A time zone that nobody's recording is from, so that a time made local by mistake is seen.
ZONE = "Asia/Kathmandu"
COUNT_DRAWS = """
window.draws = 0;
document.addEventListener("ranvier:drawn", () => { window.draws += 1; });
"""
# How often was drawn, as soon as nothing is on its way that would be drawn without being asked for.
AT_REST = """async (within) => {
  const shown = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const due = performance.now() + within;
  for (;;) {
    const before = window.draws;
    await shown();
    await shown();
    const { loading, problem } = window.ranvier.store.get();
    if (window.draws === before && (problem || !loading)) return before;
    if (performance.now() > due) throw new Error("the page does not come to rest");
  }
}"""
DRAWN_SINCE = """(before) => {
  const { loading, problem } = window.ranvier.store.get();
  return window.draws > before && (problem || !loading);
}"""
# What is drawn, of one row or of all; numbers as the bytes of their Float32Array.
DRAWN = """key => {
  const encoded = ({ buffer, byteOffset, byteLength }) => {
    const bytes = new Uint8Array(buffer, byteOffset, byteLength);
    let text = "";
    for (let at = 0; at < bytes.length; at += 8192) {
      text += String.fromCharCode(...bytes.subarray(at, at + 8192));
    }
    return btoa(text);
  };
  const { start, window: length, rows } = window.ranvier.drawn;
  return { start, window: length, rows: rows
    .filter((row) => key === null || row.key === key)
    .map(({ key, rate_hz, start, values }) => (
      { key, rate_hz, start, values: encoded(Float32Array.from(values)) })) };
}"""


def chromium() -> str | None:
    """Return the program, or None if there is none."""
    given = os.environ.get("RANVIER_CHROMIUM")
    return given or next(filter(None, map(shutil.which, NAMES)), None)


def require_chromium() -> str:
    """Return the program; skip the test, or fail it, where there is none."""
    program = chromium()
    if program is None:
        if os.environ.get("RANVIER_REQUIRE_BROWSER"):
            pytest.fail(ABSENT)
        pytest.skip(ABSENT)
    return program


@contextlib.contextmanager
def running_browser() -> Iterator[Browser]:
    """Run a headless Chromium; skip the test, or fail it, where there is none.

    While it runs, this thread has a running event loop: ``asyncio.run`` is then refused, so it must
    not outlive the tests that need it.
    """
    program = require_chromium()
    expect.set_options(timeout=WITHIN_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(SWITCHES))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Problems:
    """What went wrong on the pages of a test: errors in the console, requests to other hosts."""

    seen: list[str] = field(default_factory=list)
    _allowed: list[str] = field(default_factory=list)
    _hosts: set[str] = field(default_factory=set)  # that pages were opened from

    def allow(self, pattern: str) -> None:
        """Expect problems that match, for example ``"502"`` while the records service is down."""
        self._allowed.append(pattern)

    @property
    def unexpected(self) -> list[str]:
        """Those that no pattern matches."""
        return [
            each for each in self.seen if not any(re.search(one, each) for one in self._allowed)
        ]

    def watch(self, context: BrowserContext) -> None:
        """Note what goes wrong on all pages of a context."""
        context.on("console", self._console)
        context.on("weberror", lambda error: self.seen.append(f"error: {error.error}"))
        context.on("page", self._opened)
        context.on("request", self._requested)

    def _console(self, message: ConsoleMessage) -> None:
        # Policies that were violated, and files that could not be loaded, are told here as well.
        if message.type == "error":
            self.seen.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _opened(self, page: Page) -> None:
        page.on("websocket", lambda socket: self._asked(socket.url))
        page.on("crash", lambda _: self.seen.append("the page crashed"))

    def _requested(self, request: Request) -> None:
        # Which frame asks cannot be told of a tab that is about to be opened.
        if request.is_navigation_request():
            self._hosts.add(urlsplit(request.url).netloc)
        else:
            self._asked(request.url)

    def _asked(self, url: str) -> None:
        asked = urlsplit(url)
        if asked.scheme in ("http", "https", "ws", "wss") and asked.netloc not in self._hosts:
            self.seen.append(f"a request to another host: {url}")


class Pages:
    """Opens pages for one test, each in a context of its own, and watches them.

    Parameters
    ----------
    browser
        Where.
    folder
        Where pictures go.
    name
        Of the test; pictures are named after it.
    """

    def __init__(self, browser: Browser, folder: Path, name: str) -> None:
        self._browser, self._folder = browser, folder
        self._name = re.sub(r"[^\w.-]+", "-", name).strip("-")
        self._contexts: list[BrowserContext] = []
        self.problems = Problems()

    def open(self, width: int = 1600, height: int = 1000, **options: Any) -> Page:
        """Return a blank page; ``options`` are those of a context."""
        options = {
            "color_scheme": "light",
            "timezone_id": ZONE,
            "reduced_motion": "reduce",
        } | options
        size = {"width": width, "height": height}
        context = self._browser.new_context(viewport=size, **options)  # type: ignore[arg-type]
        self._contexts.append(context)
        context.set_default_timeout(WITHIN_MS)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        context.add_init_script(COUNT_DRAWS)
        self.problems.watch(context)
        return context.new_page()

    def shot(self, page: Page, name: str) -> Path:
        """Take a picture of a page, to be kept."""
        path = self._folder / f"{self._name}-{name}.png"
        page.screenshot(path=path)
        return path

    def shoot_all(self) -> None:
        """Take a picture of every page that is open."""
        for context in self._contexts:
            for number, page in enumerate(context.pages):
                with contextlib.suppress(Exception):
                    self.shot(page, f"failed-{number}")

    def close(self) -> None:
        """Close all pages."""
        for context in self._contexts:
            context.close()


def open_recording(
    page: Page, url: str, recording: str, patient: str, *, wait: bool = True, **view: Any
) -> None:
    """Open a recording by its link, and wait until its traces are drawn.

    Parameters
    ----------
    url
        Of the viewer.
    wait
        Whether to wait.
    **view
        Members of the link, as view.js names them: ``t``, ``w``, ``montage``, ``hp``...; a list
        stands for several of one name, None for ``off``.
    """
    members = {"patient": patient, "recording": recording} | view
    asked = {name: "off" if value is None else value for name, value in members.items()}
    page.goto(f"{url}/?{urlencode(asked, doseq=True)}")
    if wait:
        wait_drawn(page)


def wait_drawn(page: Page, start: float | None = None, window: float | None = None) -> None:
    """Wait until a page is drawn, one that starts or is as long as asked if that is given."""
    page.wait_for_function(
        """([start, window_]) => {
          const drawn = window.ranvier?.drawn;
          return drawn && (start === null || Math.abs(drawn.start - start) < 1e-6)
            && (window_ === null || drawn.window === window_);
        }""",
        arg=[start, window],
    )


def after_draw(page: Page, act: Callable[[], object]) -> None:
    """Do something on a page at rest, and wait until the traces were drawn with all it needs."""
    before = page.evaluate(AT_REST, WITHIN_MS)
    act()
    page.wait_for_function(DRAWN_SINCE, arg=before)


def drawn(page: Page) -> dict[str, Any]:
    """Return what is drawn: start, window, and rows by key, each with rate_hz, start and values."""
    found: dict[str, Any] = page.evaluate(DRAWN, None)
    rows = {row["key"]: row | {"values": _numbers(row["values"])} for row in found["rows"]}
    return found | {"rows": rows}


def values(page: Page, key: str) -> NDArray[np.float64]:
    """Return the numbers that a row is drawn from, NaN where nothing was recorded."""
    (row,) = page.evaluate(DRAWN, key)["rows"]
    return _numbers(row["values"])


def _numbers(encoded: str) -> NDArray[np.float64]:
    return np.frombuffer(base64.b64decode(encoded), np.float32).astype(np.float64)


def state(page: Page, name: str) -> Any:
    """Return one member of the page's state; what JSON cannot hold is left out."""
    return page.evaluate("name => window.ranvier.store.get()[name]", name)


def wait_state(page: Page, condition: str) -> None:
    """Wait until an expression of JavaScript holds for the state, which it calls ``state``."""
    page.wait_for_function(
        f"() => {{ const state = window.ranvier?.store.get(); return state && ({condition}); }}"
    )
