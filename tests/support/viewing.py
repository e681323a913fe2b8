"""Fixtures of the viewer in a real browser: running services, recordings, and watched pages."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page

from tests.support import viewed_recordings
from tests.support.browser import Pages, Problems, running_browser
from tests.support.records_server import RecordsServer
from tests.support.viewer_server import ViewerServer

_failed = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let fixtures know that their test failed."""
    report = yield
    if report.failed:
        item.stash[_failed] = True
    return report


class SteadyRecords(RecordsServer):
    """A records service that has its first address whenever it is started again."""

    def start(self) -> Self:
        """Start the process, on any port when it is the first time."""
        super().start()
        self._variables["RANVIER_RECORDS_PORT"] = str(urlsplit(self.url).port)
        return self


@dataclass(frozen=True)
class Viewer:
    """The viewer, and the records service behind it, over a home of recordings."""

    home: Path
    records: RecordsServer
    server: ViewerServer

    @property
    def url(self) -> str:
        """Where the page is."""
        url: str = self.server.url
        return url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run a Chromium; for one module, since asyncio cannot be used beside it."""
    with running_browser() as running:
        yield running


@pytest.fixture
def pages(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Pages]:
    """Open pages of any size. An error on one of them fails the test; see ``problems``."""
    cache = request.config.cache
    assert cache is not None
    opened = Pages(browser, cache.mkdir("screenshots"), request.node.name)
    try:
        yield opened
        if request.node.stash.get(_failed, False) or opened.problems.unexpected:
            opened.shoot_all()
    finally:
        opened.close()
    assert not opened.problems.unexpected, opened.problems.unexpected


@pytest.fixture
def page(pages: Pages) -> Page:
    """Open a blank page of 1600 x 1000."""
    return pages.open()


@pytest.fixture
def problems(pages: Pages) -> Problems:
    """Return what goes wrong on the pages; ``allow`` what the test provokes."""
    return pages.problems


@pytest.fixture
def shot(pages: Pages, page: Page) -> Callable[[str], Path]:
    """Take pictures of ``page`` that are kept, in ``.pytest_cache/d/screenshots``."""
    return lambda name: pages.shot(page, name)


@pytest.fixture(scope="session")
def filled_home(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """Return a home with all recordings, to be copied rather than used."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # filled by the first worker, for all
    home = folder / "viewed"
    with open(folder / "viewed.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            unfinished = folder / "viewed-unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)  # of a worker that died
            viewed_recordings.fill(unfinished, data, folder / "viewed-files")
            unfinished.rename(home)
    return home


@pytest.fixture(scope="session")
def viewer(filled_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    """Run both services for tests that only read, or write recordings of their own."""
    home = tmp_path_factory.mktemp("viewer") / "home"
    shutil.copytree(filled_home, home)
    with RecordsServer(home) as records, ViewerServer(home, records_url=records.url) as server:
        yield Viewer(home, records, server)


@pytest.fixture(scope="module")
def own_servers(filled_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    """Run both services for one module that marks recordings, or stops the services.

    The records service has the same address when it is started again, and moves whole blocks of
    live recordings often.
    """
    home = tmp_path_factory.mktemp("own") / "home"
    shutil.copytree(filled_home, home)
    own = SteadyRecords(home, seconds_between_compactions=0.5)
    with own as records, ViewerServer(home, records_url=records.url) as server:
        yield Viewer(home, records, server)
