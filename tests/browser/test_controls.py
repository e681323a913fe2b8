"""The toolbar, the buttons, themes and calibration: each shows the view, and changes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import (
    Pages,
    after_draw,
    drawn,
    open_recording,
    state,
    wait_drawn,
    wait_state,
)
from tests.support.viewed_recordings import HOUR, MADE, REFERENTIAL
from tests.support.viewer_server import ViewerServer
from tests.support.viewing import Viewer

LISTS = [
    *("window-choice", "montage", "hp", "lp", "notch", "scale", "sensitivity"),
    *("colours", "polarity", "clock"),
]


def choose(page: Page, name: str, text: str) -> None:
    page.locator(f"#{name}").select_option(label=text)


def chosen(page: Page, name: str) -> str:
    text: str = page.evaluate(
        "id => document.getElementById(id).selectedOptions[0]?.textContent ?? ''", name
    )
    return text


def test_a_choice_changes_the_view_and_the_link(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, HOUR, MADE)
    choices: list[tuple[str, str, str, object, str]] = [
        ("window-choice", "5 s", "window", 5, "w=5"),
        ("hp", "0.3 Hz", "hp", 0.3, "hp=0.3"),
        ("hp", "Off", "hp", None, "hp=off"),
        ("lp", "30 Hz", "lp", 30, "lp=30"),
        ("notch", "50 Hz", "notch", 50, "notch=50"),
        ("sensitivity", "10 µV", "sensitivity", 10, "sensitivity=10"),
        ("colours", "By type", "colours", "type", "colours=type"),
        ("polarity", "Down", "polarity", "down", "polarity=down"),
        ("clock", "Time of day", "clock", "absolute", "clock=absolute"),
    ]
    for name, text, member, value, in_link in choices:
        after_draw(page, partial(choose, page, name, text))
        assert state(page, member) == value
        page.wait_for_url(re.compile(f"[?&]{in_link}(&|$)"))
        # The arrow keys turn pages again at once, instead of the list's entries.
        start = state(page, "start")
        after_draw(page, lambda: page.keyboard.press("ArrowRight"))
        assert state(page, "start") == start + state(page, "window")
        assert chosen(page, name) == text


def test_lists_show_what_a_link_brings_even_if_it_is_none_of_theirs(
    viewer: Viewer, page: Page
) -> None:
    view: dict[str, Any] = {
        "w": 12,
        "hp": 0.7,
        "lp": None,
        "notch": 60,
        "sensitivity": 8,
        "montage": "average",
    }
    open_recording(page, viewer.url, REFERENTIAL, MADE, **view)
    wait_state(page, "state.montageList.length > 1")
    shown = [chosen(page, name) for name in LISTS]
    assert shown == [
        *("12 s", "Average reference", "0.7 Hz", "Off", "60 Hz", "µV/mm", "8 µV"),
        *("By side", "Up", "From start"),
    ]
    after_draw(page, lambda: choose(page, "hp", "1 Hz"))
    assert "0.7 Hz" not in page.locator("#hp").inner_text()


def test_changing_the_scale_keeps_the_height_about_the_same(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, HOUR, MADE, sensitivity=10)
    before = page.evaluate("() => window.ranvier.store.get().frame.rows[0].uvPerPx")
    after_draw(page, lambda: choose(page, "scale", "µV/row"))
    assert state(page, "scale") == "row"
    between = page.evaluate("() => window.ranvier.store.get().frame.rows[0].uvPerPx")
    assert before / 1.5 < between < before * 1.5
    assert "500 µV" in page.locator("#sensitivity").inner_text()
    after_draw(page, lambda: choose(page, "scale", "µV/mm"))
    assert "500 µV" not in page.locator("#sensitivity").inner_text()
    after = page.evaluate("() => window.ranvier.store.get().frame.rows[0].uvPerPx")
    assert before / 1.5 < after < before * 1.5


def test_a_montage_that_cannot_be_made_says_why(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, "mixed.edf", MADE)
    wait_state(page, "state.montageList.length > 1")
    listed = page.evaluate(
        """() => [...document.querySelectorAll("#montage option")].map(
          (each) => [each.textContent, each.disabled, each.title])"""
    )
    assert listed[0][1] is False
    for _, disabled, title in listed:
        assert bool(title) == disabled


@pytest.fixture
def with_files(viewer: Viewer, tmp_path: Path) -> Iterator[ViewerServer]:
    """Run a viewer that has montages of files, one of them broken."""
    (tmp_path / "ours.yaml").write_text(
        "montages:\n  ours: {title: Ours <b>, derivations: [F7-T7, {label: Mean, active: C3, "
        "reference: [Cz, Pz]}]}\n"
    )
    (tmp_path / "broken.yaml").write_text("montages: {x: {derivations: [nothing]}}")
    with ViewerServer(tmp_path / "home", viewer.records.url, montages=tmp_path) as server:
        yield server


# The page comes last, so that it is gone before its server is.
def test_montages_of_files_are_offered(with_files: ViewerServer, page: Page) -> None:
    open_recording(page, with_files.url, REFERENTIAL, MADE)
    wait_state(page, "state.montageList.some((each) => each.name === 'ours')")
    after_draw(page, lambda: choose(page, "montage", "Ours <b>"))
    expect(page.locator("#notice")).to_contain_text("broken.yaml")
    page.wait_for_function("() => ranvier.drawn.rows.some((row) => row.key === 'Mean')")
    rows = drawn(page)["rows"]
    assert list(rows)[:2] == ["F7-T7", "Mean"]


def test_nothing_can_be_chosen_before_there_is_something(viewer: Viewer, page: Page) -> None:
    page.goto(viewer.url)
    expect(page.locator("#start")).to_be_visible()
    page.wait_for_function("() => window.ranvier?.store")
    for name in [*LISTS, "first", "back", "play", "next", "last", "goto", "link"]:
        expect(page.locator(f"#{name}")).to_be_disabled()


def test_buttons_turn_pages_and_go_back(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, HOUR, MADE, t=100)
    for name, start in [("next", 110), ("back", 100), ("last", 3590), ("first", 0)]:
        after_draw(page, page.locator(f"#{name}").click)
        assert state(page, "start") == start
    page.locator("#play").click()
    expect(page.locator("#play")).to_have_attribute("aria-pressed", "true")
    page.locator("#play").click()
    expect(page.locator("#play")).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#follow")).to_be_hidden()
    page.locator("#home").click()
    expect(page.locator("#start")).to_be_visible()
    expect(page.locator("#review")).to_be_hidden()


def test_a_time_is_gone_to(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, HOUR, MADE)
    page.keyboard.press("g")
    expect(page.locator("#goto")).to_be_focused()
    page.keyboard.type("no time")
    page.keyboard.press("Enter")
    expect(page.locator("#goto")).to_have_attribute("aria-invalid", "true")
    page.locator("#goto").fill("0:20:05")
    after_draw(page, lambda: page.keyboard.press("Enter"))
    assert state(page, "start") == 1205
    expect(page.locator("#goto")).to_have_value("")
    after_draw(page, lambda: page.keyboard.press("ArrowRight"))
    assert state(page, "start") == 1215


def test_the_link_is_copied(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, HOUR, MADE, t=30, hp=0.5)
    page.locator("#link").click()
    expect(page.locator("#link")).to_have_attribute("data-done", "true")
    link = page.evaluate("() => navigator.clipboard.readText()")
    assert link.startswith(f"{viewer.url}/?")
    page.goto(link)
    wait_drawn(page, 30, 10)
    assert state(page, "hp") == 0.5


def test_the_link_is_copied_where_the_clipboard_is_kept_from_pages(
    viewer: Viewer, page: Page
) -> None:
    page.add_init_script("delete Navigator.prototype.clipboard")
    open_recording(page, viewer.url, HOUR, MADE)
    page.evaluate("() => document.addEventListener('copy', () => { window.copied = true; })")
    page.locator("#link").click()
    expect(page.locator("#link")).to_have_attribute("data-done", "true")
    assert page.evaluate("() => window.copied")


def test_the_theme_is_kept(viewer: Viewer, pages: Pages) -> None:
    page = pages.open(color_scheme="dark")
    open_recording(page, viewer.url, HOUR, MADE)
    root = page.locator("html")
    expect(root).to_have_attribute("data-theme", "dark")
    after_draw(page, page.locator("#theme").click)
    expect(root).to_have_attribute("data-theme", "light")
    after_draw(page, lambda: page.keyboard.press("t"))
    expect(root).to_have_attribute("data-theme", "dark")
    page.locator("#theme").click()
    # Before anything is painted, and whatever the screen is set to.
    page.reload(wait_until="commit")
    expect(root).to_have_attribute("data-theme", "light")
    wait_drawn(page)
    assert state(page, "theme") == "light"


def test_the_screen_is_calibrated(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, HOUR, MADE)
    before = page.evaluate("() => window.ranvier.store.get().frame.rows[0].uvPerPx")
    page.locator("#calibrate").click()
    slide = page.locator("#calibrate-width")
    expect(slide).to_be_focused()
    slide.fill("400")
    assert page.locator(".ruler").bounding_box()["width"] == 400  # type: ignore[index]
    after_draw(page, page.get_by_role("button", name="Use", exact=True).click)
    assert state(page, "pxPerMm") == 8
    after = page.evaluate("() => window.ranvier.store.get().frame.rows[0].uvPerPx")
    assert after == pytest.approx(before * (96 / 25.4) / 8)
    page.reload()
    wait_drawn(page)
    assert state(page, "pxPerMm") == 8
    page.locator("#calibrate").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#calibrate-form")).to_be_hidden()
    assert state(page, "pxPerMm") == 8


def test_the_menu_closes_when_something_else_is_wanted(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, HOUR, MADE)
    menu, inside = page.locator("#export summary"), page.locator("#export-png")
    menu.click()
    expect(inside).to_be_visible()
    page.keyboard.press("Escape")
    expect(inside).to_be_hidden()
    menu.click()
    page.locator("#title").click()
    expect(inside).to_be_hidden()


def test_tabs_are_gone_through_by_keyboard(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, HOUR, MADE)
    expect(page.locator("#marks")).to_be_visible()
    page.locator("#tab-marks").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#tab-channels")).to_be_focused()
    expect(page.locator("#channels")).to_be_visible()
    expect(page.locator("#marks")).to_be_hidden()
    assert state(page, "start") == 0


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1600, 1000), (3840, 2160)])
def test_everything_has_its_place_on_any_screen(
    viewer: Viewer, pages: Pages, width: int, height: int
) -> None:
    page = pages.open(width, height)
    page.goto(viewer.url)
    expect(page.locator(".picker-row").first).to_be_visible()
    pages.shot(page, "start")
    open_recording(page, viewer.url, HOUR, MADE, t=30)
    traces = page.locator("#traces").bounding_box()
    assert traces is not None
    assert traces["height"] >= 0.6 * height
    outside = page.evaluate(
        """([width, height]) => [...document.querySelectorAll(
             "#review > *, #toolbar select, #position > *, .tools > *")]
           .filter((each) => !each.hidden)
           .map((each) => [each.id || each.className, each.getBoundingClientRect()])
           .filter(([, box]) => box.width && (box.left < 0 || box.top < 0
             || box.right > width + 0.5 || box.bottom > height + 0.5))
           .map(([name]) => name)""",
        [width, height],
    )
    assert not outside
    pages.shot(page, "review")
    after_draw(page, lambda: page.keyboard.press("t"))
    pages.shot(page, "dark")


def test_nothing_jumps_while_a_recording_is_opened(viewer: Viewer, page: Page) -> None:
    page.add_init_script(
        """window.jumps = [];
        new PerformanceObserver((list) => {
          for (const each of list.getEntries()) {
            for (const { node, previousRect: from, currentRect: to } of each.sources) {
              const region = node?.parentElement?.id === "review" || node?.id === "stage";
              if (region && from.width) window.jumps.push([node.id, from.y, to.y]);
            }
          }
        }).observe({ type: "layout-shift", buffered: true });"""
    )
    open_recording(page, viewer.url, HOUR, MADE, t=30)
    expect(page.locator("#overview .js-plotly-plot, #overview .main-svg").first).to_be_attached()
    after_draw(page, lambda: page.keyboard.press("ArrowRight"))
    assert page.evaluate("() => window.jumps") == []


def test_letters_and_traces_can_be_read(viewer: Viewer, page: Page) -> None:
    page.goto(viewer.url)

    def light(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(one: str, other: str) -> float:
        high, low = sorted((light(one), light(other)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    names = ["text", "faint", "trace", "left", "right", "middle", "none"]
    names += ["eeg", "eog", "ecg", "emg", "other", "cursor", "caliper"]
    read = "theme => import('/page/palette.js').then(({ palette }) => ({ ...palette(theme) }))"
    for theme in ("light", "dark"):
        colours = page.evaluate(read, theme)
        for name in names:
            assert contrast(colours[name], colours["background"]) >= 4.5, (theme, name)
            assert contrast(colours[name], colours["gutter"]) >= 4.5, (theme, name)
        for name in ("seizure", "note", "marker", "file", "selection", "envelope"):
            assert contrast(colours[name], colours["background"]) >= 3, (theme, name)


def test_lists_are_walked_with_the_keyboard(page: Page, viewer: Viewer) -> None:
    """The focus stays until Escape gives it back; after a choice with the pointer it goes."""
    open_recording(page, viewer.url, HOUR, MADE)
    before = state(page, "sensitivity")
    first = page.locator("#lp").input_value()
    page.locator("#lp").focus()
    for _ in range(2):
        page.keyboard.press("ArrowUp")
    expect(page.locator("#lp")).to_be_focused()
    assert int(page.locator("#lp").input_value()) == int(first) - 2
    page.keyboard.press("Escape")
    expect(page.locator("#traces")).to_be_focused()
    assert state(page, "sensitivity") == before
    page.locator("#hp").dispatch_event("pointerdown")
    page.locator("#hp").focus()
    page.locator("#hp").select_option(label="5 Hz")
    expect(page.locator("#traces")).to_be_focused()
