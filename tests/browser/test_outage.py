"""The records service, or the viewer itself, is gone for a while: the picture stays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.browser import Problems, drawn, open_recording, state, wait_drawn, wait_state
from tests.support.viewed_recordings import HOUR, MADE
from tests.support.viewing import Viewer


@pytest.fixture
def outage(own_servers: Viewer, problems: Problems) -> Iterator[Viewer]:
    """Return servers that may be killed; they run again afterwards."""
    problems.allow("50[234]|ERR_|WebSocket")
    yield own_servers
    if own_servers.records.process is None:
        own_servers.records.start()


def test_the_last_picture_stays_and_the_next_one_comes_by_itself(
    outage: Viewer, page: Page
) -> None:
    """Nobody has to do anything: the page that was asked for is drawn when it can be."""
    open_recording(page, outage.url, HOUR, MADE, t=100)
    page.wait_for_load_state("networkidle")
    outage.records.kill()
    page.evaluate("ranvier.actions.goTo(2000)")
    notice = page.locator("#notice")
    expect(notice).to_contain_text("The recordings cannot be reached.")
    expect(notice).to_contain_text("Trying again")
    traces = page.locator("#traces")
    expect(traces).to_have_class("dimmed")
    assert drawn(page)["start"] == 100
    assert state(page, "start") == 2000
    outage.records.start()
    wait_drawn(page, 2000)
    expect(notice).to_be_empty()
    expect(traces).not_to_have_class("dimmed")


def test_pages_at_hand_are_still_turned(outage: Viewer, page: Page) -> None:
    """The neighbour was fetched ahead: the outage is noticed only behind it."""
    open_recording(page, outage.url, HOUR, MADE, t=100)
    page.wait_for_load_state("networkidle")
    outage.records.kill()
    page.keyboard.press("ArrowRight")
    wait_drawn(page, 110)
    page.keyboard.press("ArrowRight")
    expect(page.locator("#notice")).to_contain_text("cannot be reached")
    page.keyboard.press("ArrowLeft")  # back to what is at hand: all is well again
    wait_drawn(page, 110)
    wait_state(page, "!state.problem && !state.loading")
    outage.records.start()


def test_trying_again_at_once(outage: Viewer, page: Page) -> None:
    """Whoever does not want to wait for the next try clicks."""
    open_recording(page, outage.url, HOUR, MADE, t=100)
    page.wait_for_load_state("networkidle")
    outage.records.kill()
    page.evaluate("ranvier.actions.goTo(2500)")
    retry = page.get_by_role("button", name="Try again")
    expect(retry).to_be_visible()
    outage.records.start()
    page.evaluate("() => document.querySelector('#notice button')?.click()")
    wait_drawn(page, 2500)


def test_a_recording_is_opened_as_soon_as_it_can_be(outage: Viewer, page: Page) -> None:
    """A link that is followed while nothing answers opens by itself."""
    outage.records.kill()
    open_recording(page, outage.url, HOUR, MADE, t=300, wait=False)
    expect(page.locator("#notice")).to_contain_text("The recordings cannot be reached.")
    outage.records.start()
    wait_drawn(page, 300)
    wait_state(page, "!state.problem")


def test_the_viewer_itself_is_gone_for_a_while(outage: Viewer, page: Page) -> None:
    """It answers nothing at all; its page goes on when it is back."""
    open_recording(page, outage.url, HOUR, MADE, t=100)
    page.wait_for_load_state("networkidle")
    page.route("**/api/**", lambda route: route.abort("connectionrefused"))
    page.evaluate("ranvier.actions.goTo(1500)")
    expect(page.locator("#notice")).to_contain_text("The recordings cannot be reached.")
    page.unroute("**/api/**")
    wait_drawn(page, 1500)


def test_a_page_that_is_refused_says_why(outage: Viewer, page: Page, problems: Problems) -> None:
    """An answer that no further try would change offers what would."""
    problems.allow("422")
    open_recording(page, outage.url, HOUR, MADE, t=100)
    page.route(
        "**/api/eeg?**",
        lambda route: (
            route.fulfill(
                status=422,
                json={
                    "status": 422,
                    "detail": "hp: too high",
                    "errors": [{"field": "hp", "message": "too high"}],
                },
            )
            if "hp=" in route.request.url
            else route.continue_()
        ),
    )
    page.evaluate("ranvier.actions.change({ hp: 5 })")
    notice = page.locator("#notice")
    expect(notice).to_contain_text("This page cannot be shown. hp: too high")
    expect(page.locator("#traces")).to_contain_class("dimmed")
    notice.get_by_role("button", name="Filters off").click()
    wait_state(page, "state.hp === null && !state.problem && !state.loading")
    expect(notice).to_be_empty()


def test_who_has_to_sign_in_keeps_what_was_typed(
    own_servers: Viewer, page: Page, problems: Problems
) -> None:
    """A mark that cannot be stored any more does not take its form, or the page, away."""
    problems.allow("401")
    open_recording(page, own_servers.url, HOUR, MADE)
    page.route(
        "**/annotations?**",
        lambda route: (
            route.fulfill(status=401, json={"status": 401, "detail": "sign in first"})
            if route.request.method == "POST"
            else route.continue_()
        ),
    )
    page.keyboard.press("m")
    page.keyboard.type("spike")
    page.keyboard.press("Enter")
    expect(page.locator("#mark-form")).to_contain_text("sign in in another tab")
    expect(page.locator("#mark-form textarea")).to_have_value("spike")


def test_a_notice_that_is_put_away_stays_away(
    own_servers: Viewer, page: Page, problems: Problems
) -> None:
    """Though what failed is tried again, and fails again."""
    problems.allow("503")
    refused = []

    def refuse(route: Route) -> None:
        refused.append(route.request.url)
        route.fulfill(status=503, json={"status": 503, "detail": "busy"})

    page.route("**/annotations?**", refuse)
    open_recording(page, own_servers.url, HOUR, MADE)
    notice = page.locator("#notice")
    expect(notice).to_contain_text("The marks cannot be loaded")
    notice.get_by_role("button", name="Put this notice away").click()
    expect(notice).to_be_empty()
    before = len(refused)
    with page.expect_response("**/annotations?**"):
        pass
    page.wait_for_function("() => ranvier.store.get().problem?.where === 'marks'")
    assert len(refused) > before
    expect(notice).to_be_empty()
