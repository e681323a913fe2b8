"""Links hold what is looked at and how, and the browser's way back and forth restores it."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import (
    Pages,
    Problems,
    drawn,
    open_recording,
    state,
    wait_drawn,
    wait_state,
)
from tests.support.viewed_recordings import CLIP, CLIP_PATIENT, HOUR, MADE, REFERENTIAL
from tests.support.viewing import Viewer

VIEW = "const view = await import('/page/view.js');"
EVERYTHING: dict[str, Any] = {
    "t": 42.5,
    "w": 5,
    "montage": "average",
    "hp": 0.5,
    "lp": None,
    "notch": 50,
    "scale": "row",
    "sensitivity": 200,
    "gain": ["2*C3-Av", "0.5*ECG"],
    "hidden": ["Fp1-Av", "O2-Av"],
    "order": ["Cz-Av", "C3-Av"],
    "colours": "type",
    "clock": "absolute",
    "polarity": "down",
    "spectrum_window": 4,
}


def query(page: Page) -> dict[str, list[str]]:
    """Return the members of the address."""
    return parse_qs(urlsplit(page.url).query)


def wait_query(page: Page, name: str, value: str | None) -> None:
    """Wait until a member of the address is as expected; it follows when the view rests."""
    page.wait_for_function(
        "([name, value]) => new URLSearchParams(location.search).get(name) === value",
        arg=[name, value],
    )


def test_a_link_restores_everything(viewer: Viewer, page: Page) -> None:
    """Recording, place, channels, filters, montage, scale; and the address stays what it was."""
    open_recording(page, viewer.url, REFERENTIAL, MADE, **EVERYTHING)
    wait_drawn(page, 42.5, 5)
    seen = {name: state(page, name) for name in ("hp", "lp", "notch", "montage", "scale")}
    assert seen == {"hp": 0.5, "lp": None, "notch": 50, "montage": "average", "scale": "row"}
    assert state(page, "gains") == {"C3-Av": 2, "ECG": 0.5}
    assert [state(page, name) for name in ("clock", "polarity", "spectrum_window")] == [
        "absolute",
        "down",
        4,
    ]
    rows = list(drawn(page)["rows"])
    assert rows[:2] == ["Cz-Av", "C3-Av"]
    assert len(rows) == 19 + 1 - 2 + others(page)
    assert "Fp1-Av" not in rows
    before = query(page)
    page.evaluate("new Promise((resolve) => setTimeout(resolve, 300))")  # longer than it rests
    assert query(page) == before


def others(page: Page) -> int:
    """Return how many recorded channels follow below the derived ones, but for the ECG."""
    found: int = page.evaluate(
        "ranvier.store.get().curves.filter(({ derived, key }) => !derived && key !== 'ECG').length"
    )
    return found


def test_the_address_follows_the_view(viewer: Viewer, page: Page, pages: Pages) -> None:
    """And opened elsewhere it shows the same, to the last number."""
    open_recording(page, viewer.url, HOUR, MADE)
    length = page.evaluate("history.length")
    page.keyboard.press("ArrowRight")
    wait_query(page, "t", "10")
    page.evaluate("ranvier.actions.change({ hp: null, notch: 60, hidden: ['P3-O1', 'ECG'] })")
    wait_query(page, "hp", "off")
    assert query(page)["hidden"] == ["P3-O1", "ECG"]
    page.evaluate("ranvier.actions.change({ hp: 1 })")
    wait_query(page, "hp", None)
    assert page.evaluate("history.length") == length  # one step back is the list, not a page
    page.wait_for_function("() => !ranvier.store.get().loading")
    other = pages.open()
    other.goto(page.url)
    wait_drawn(other, 10)
    one, two = drawn(page), drawn(other)
    assert list(one["rows"]) == list(two["rows"])
    assert all(
        (one["rows"][key]["values"] == two["rows"][key]["values"]).all() for key in one["rows"]
    )


def test_back_and_forth(viewer: Viewer, page: Page) -> None:
    """Each recording is a step of the browser's history; the list is one as well."""
    open_recording(page, viewer.url, HOUR, MADE, t=100)
    page.locator("#home").click()
    expect(page.locator("#start")).to_be_visible()
    expect(page.locator("#review")).to_be_hidden()
    assert urlsplit(page.url).query == ""
    open_here = "([patient, recording]) => ranvier.actions.open({ patient, recording }, {})"
    page.evaluate(open_here, [CLIP_PATIENT, CLIP])
    page.wait_for_function("() => ranvier.drawn && ranvier.drawn.rows.length === 23")
    assert query(page)["recording"] == [CLIP]
    page.go_back()
    expect(page.locator("#start")).to_be_visible()
    page.go_back()
    wait_drawn(page, 100)
    assert state(page, "recording") == HOUR
    page.go_forward()
    expect(page.locator("#start")).to_be_visible()
    page.go_forward()
    wait_drawn(page, 0)
    assert state(page, "recording") == CLIP


@pytest.mark.parametrize(
    ("asked", "start", "window"),
    [
        ({"t": "1e12", "w": "nonsense"}, 3590, 10),
        ({"t": "-5", "w": "0"}, 0, 10),
        ({"t": "3599.5"}, 3590, 10),
        ({"t": "", "w": "1e9", "hp": "80", "lp": "20", "sensitivity": "Infinity"}, 0, 10),
        ({"toString": "x", "__proto__": "y", "gain": "22", "colours": "pink"}, 0, 10),
        ({"t": "100", "w": "20", "order": "no such channel", "hidden": "neither"}, 100, 20),
        ({"gain": ["1e-320*FP1-F7", "1e4*F7-T7", "NaN*T7-P7", "2*no such channel"]}, 0, 10),
    ],
)
def test_links_that_make_no_sense_show_what_they_can(
    viewer: Viewer, page: Page, asked: dict[str, Any], start: float, window: float
) -> None:
    """Numbers beyond reason are as ever, and places beyond the end are the last page."""
    open_recording(page, viewer.url, HOUR, MADE, **asked)
    if asked.get("t") == "1e12":
        start = 0  # not even a time
    wait_drawn(page, start, window)
    assert len(drawn(page)["rows"]) == 23
    assert state(page, "problem") is None
    assert (state(page, "hp"), state(page, "lp")) == (1, 70)
    # Channels that the recording has not are not carried on, and none is drawn flat.
    wait_state(page, "!state.hidden.length && !state.order.length")
    wait_state(page, "!Object.keys(state.gains).length")


def test_a_recording_that_there_is_not(viewer: Viewer, page: Page, problems: Problems) -> None:
    """A link that is stale says so, and leads to the list."""
    problems.allow("404")
    open_recording(page, viewer.url, "gone.edf", "nobody", wait=False)
    notice = page.locator("#notice")
    expect(notice).to_contain_text("There is no recording gone.edf of nobody.")
    notice.get_by_role("button", name="Recordings").click()
    expect(page.locator("#start")).to_be_visible()
    expect(notice).to_be_empty()


def test_a_view_goes_into_a_link_and_comes_back(viewer: Viewer, page: Page) -> None:
    """The functions alone: a link holds what differs from the default, and nothing is lost."""
    page.goto(viewer.url)
    views: list[dict[str, Any]] = [
        {"patient": "a", "recording": "b"},
        {"patient": "off", "recording": "off", "spectrum": "off", "montage": "off"},
        {"recording": "r&d=1?#.edf", "patient": "ü 1", "start": 3.25, "window": 60},
        {"recording": "r", "hp": None, "lp": None, "notch": 60, "sensitivity": 0.5},
        {"recording": "r", "gains": {"A*B": 2, "__proto__x": 0.25, "C 3": 1.5}},
        {"recording": "r", "hidden": ["T8-P8#2", "a,b"], "order": ["", "x"]},
        {"recording": "r", "scale": "row", "colours": "plain", "clock": "absolute"},
        {"recording": "r", "polarity": "down", "spectrum": "FP1-F7", "spectrum_window": 0.5},
    ]
    for view in views:
        found = page.evaluate(
            f"""async (changes) => {{
              {VIEW}
              const state = {{ ...view.DEFAULTS, ...changes }};
              const query = view.toQuery(state);
              const again = view.fromQuery(query);
              return [query, again, state, view.toQuery(again) === query];
            }}""",
            view,
        )
        assert found[1] == found[2], found[0]
        assert found[3]
    empty = page.evaluate(f"(async () => {{ {VIEW} return view.toQuery(view.DEFAULTS); }})()")
    assert empty == ""


def test_a_montage_that_cannot_be_listed_yet(
    viewer: Viewer, page: Page, problems: Problems
) -> None:
    """Channels are shown, and called, as recorded; the list is asked for until it comes."""
    problems.allow("503")
    page.route("**/api/**/montages?**", lambda route: route.fulfill(status=503, json={}))
    open_recording(page, viewer.url, REFERENTIAL, MADE, montage="double_banana")
    notice = page.locator("#notice")
    expect(notice).to_contain_text("The montage double_banana cannot be shown.")
    expect(notice).to_contain_text("Channels are as recorded.")
    caption = "(await import('/page/export.js')).caption(ranvier.store.get())"
    assert "as recorded" in page.evaluate(f"(async () => {caption})()")
    page.unroute("**/api/**/montages?**")
    wait_state(page, "state.curves[0]?.derived && !state.loading")
    expect(notice).to_be_empty()
    assert "Double banana" in page.evaluate(f"(async () => {caption})()")


def test_a_montage_that_is_not_possible_is_not_named_in_a_caption(
    viewer: Viewer, page: Page
) -> None:
    """What is drawn is as recorded, whatever was asked for; gains of a channel are told."""
    open_recording(page, viewer.url, "mixed.edf", MADE, montage="transverse")
    key = state(page, "curves")[0]["key"]
    page.evaluate("key => ranvier.actions.change({ gains: { [key]: 0.5 } })", key)
    caption = page.evaluate(
        "(async () => (await import('/page/export.js')).caption(ranvier.store.get()))()"
    )
    assert "as recorded" in caption
    assert f"{key} \N{MULTIPLICATION SIGN} 0.5" in caption
