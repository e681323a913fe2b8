"""Who may see and who may mark: people sign in, and what a token forbids is said."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from storage.catalog import Catalog
from storage.tokens import issue
from tests.support.browser import Problems, open_recording, wait_drawn, wait_state
from tests.support.records_server import RecordsServer
from tests.support.viewed_recordings import GAP, HOUR, MADE
from tests.support.viewer_server import ViewerServer


@pytest.fixture(scope="module")
def guarded(filled_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordsServer]:
    """Run a records service that asks for tokens."""
    home = tmp_path_factory.mktemp("guarded") / "home"
    shutil.copytree(filled_home, home)
    with RecordsServer(home, token_required=True) as records:
        yield records


def token_of(records: RecordsServer, *rights: str) -> str:
    """Return a new token with some rights."""
    with Catalog.open(f"sqlite:///{records.home / 'catalog.db'}") as catalog:
        token: str = issue(catalog, f"reader-of-{len(rights)}", list(rights), None)
    return token


@pytest.fixture
def asking(guarded: RecordsServer, tmp_path: Path) -> Iterator[ViewerServer]:
    """Run a viewer whose people sign in."""
    with ViewerServer(tmp_path / "viewer", guarded.url, sign_in=True) as server:
        yield server


@pytest.fixture
def reading(guarded: RecordsServer, tmp_path: Path) -> Iterator[ViewerServer]:
    """Run a viewer with a token that may only read."""
    token = token_of(guarded, "eeg:read")
    with ViewerServer(tmp_path / "viewer", guarded.url, token=token) as server:
        yield server


# Pages come after servers, so that they are gone before them.
def test_people_sign_in_and_out(
    guarded: RecordsServer,
    asking: ViewerServer,
    page: Page,
    problems: Problems,
    shot: Callable[[str], Path],
) -> None:
    problems.allow("401")
    token = token_of(guarded, "eeg:read", "annotate", "export")
    open_recording(page, asking.url, HOUR, MADE, wait=False, t=30)
    field = page.get_by_label("Token")
    expect(field).to_be_focused()
    field.fill("rvt_wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("unknown")
    shot("sign-in")
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    wait_drawn(page, 30, 10)
    assert "sign-in" not in page.url
    assert token not in page.content() + page.url
    assert page.evaluate("() => document.cookie") == ""
    kept = "() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }])"
    assert token not in page.evaluate(kept)
    page.locator("#home").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    page.goto(f"{asking.url}/")
    expect(page.get_by_label("Token")).to_be_visible()


def test_a_token_that_may_only_read(reading: ViewerServer, page: Page, problems: Problems) -> None:
    problems.allow("403")
    open_recording(page, reading.url, GAP, MADE)
    page.locator("#mark-add").click()
    field = page.locator("#mark-form [name=text]")
    field.fill("kept")
    page.keyboard.press("Enter")
    told = page.locator(".form-error")
    expect(told).to_contain_text("You may read this recording, but not mark it: ")
    expect(told).to_contain_text("annotate")
    expect(field).to_have_value("kept")
    wait_state(page, "state.annotations.length === 3")
