"""Going through a recording: by page, by second, by slider, by time, playing, and how quickly."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import numpy as np
from playwright.sync_api import Page, Request, expect

from tests.support.browser import (
    after_draw,
    drawn,
    open_recording,
    state,
    values,
    wait_drawn,
    wait_state,
)
from tests.support.page_requests import requests_of
from tests.support.viewed_recordings import CLIP, CLIP_PATIENT, HOUR, MADE, RATE
from tests.support.viewing import Viewer

HOUR_S = 3600
KEPT_BYTES = 64 * 2**20


def test_keys_turn_pages(viewer: Viewer, page: Page) -> None:
    """Arrows and page keys by page, with Shift by second, Home and End."""
    open_recording(page, viewer.url, HOUR, MADE, t=100)
    presses: list[tuple[str, float]] = [
        ("ArrowRight", 110),
        ("PageDown", 120),
        ("ArrowLeft", 110),
        ("PageUp", 100),
        ("Shift+ArrowRight", 101),
        ("Shift+ArrowRight", 102),
        ("Shift+ArrowLeft", 101),
        ("Home", 0),
        ("ArrowLeft", 0),
        ("ArrowRight", 10),
        ("End", HOUR_S - 10),
        ("ArrowRight", HOUR_S - 10),
        ("Shift+ArrowRight", HOUR_S - 10),
        ("Shift+ArrowLeft", HOUR_S - 11),
        ("Shift+ArrowRight", HOUR_S - 10),
    ]
    for key, start in presses:
        page.keyboard.press(key)
        wait_drawn(page, start, 10)
        assert state(page, "start") == start, key


def test_pages_that_were_turned_to_hold_what_was_asked(viewer: Viewer, page: Page) -> None:
    """Neighbours that were fetched ahead are those of this place, not of another."""
    open_recording(page, viewer.url, HOUR, MADE, t=500, hp=None, lp=None)
    with viewer.records.client() as client:
        for start in (510, 520, 530):
            page.keyboard.press("ArrowRight")
            wait_drawn(page, start)
            asked: dict[str, str | int] = {"patient_id": MADE, "recording_id": HOUR}
            asked |= {"start": start, "end": start + 10, "channels": "FZ-CZ"}
            expected = [each["value"] for each in client.get("/eeg", params=asked).json()["FZ-CZ"]]
            np.testing.assert_allclose(values(page, "FZ-CZ"), expected, rtol=1e-6, atol=1e-5)


def test_the_last_page_may_be_shorter(viewer: Viewer, page: Page) -> None:
    """50 s in pages of 15: the fourth holds 5 s, and there is none behind it."""
    open_recording(page, viewer.url, CLIP, CLIP_PATIENT, w=15)
    for start in (15, 30, 45, 45):
        page.keyboard.press("ArrowRight")
        wait_drawn(page, start, 15)
        assert state(page, "start") == start
    assert len(values(page, "FP1-F7")) == 5 * RATE
    page.keyboard.press("Home")
    wait_drawn(page, 0)
    page.keyboard.press("End")
    wait_drawn(page, 45)
    page.evaluate("ranvier.actions.goTo(49)")  # a mark near the end: the page that ends there
    wait_drawn(page, 35)
    page.keyboard.press("ArrowRight")
    assert state(page, "start") == 35


def test_the_window_keeps_its_left_edge(viewer: Viewer, page: Page) -> None:
    """1 to 5 choose 5, 10, 15, 30 and 60 s."""
    open_recording(page, viewer.url, HOUR, MADE, t=100)
    for key, window in zip("13452", (5, 15, 30, 60, 10), strict=True):
        page.keyboard.press(key)
        wait_drawn(page, 100, window)
        span = frame_numbers(page)
        assert span == (100, window)
    expect(page.locator("#window-choice option:checked")).to_have_text("10 s")


def frame_numbers(page: Page) -> tuple[float, float]:
    """Return where the drawing begins, and how long it is."""
    start, window = page.evaluate(
        "(({ start, window }) => [start, window])(ranvier.store.get().frame)"
    )
    return start, window


def test_slider_and_field_go_anywhere(viewer: Viewer, page: Page) -> None:
    """The slider tells clock times; the field takes seconds, h:mm:ss, and the time of day."""
    open_recording(page, viewer.url, HOUR, MADE, t=100)
    slider = page.locator("#slider")
    expect(slider).to_have_attribute("aria-valuetext", "0:01:40 of 1:00:00")
    slider.evaluate(
        "(slider) => { slider.value = '1800'; slider.dispatchEvent(new Event('input')); }"
    )
    wait_drawn(page, 1800)
    expect(slider).to_have_attribute("aria-valuetext", "0:30:00 of 1:00:00")
    for text, start in (("75", 75.0), ("0:10:00", 600.0), ("1:00:00", HOUR_S - 10.0)):
        page.keyboard.press("g")
        page.locator("#goto").fill(text)
        page.keyboard.press("Enter")
        wait_drawn(page, start)
    # The arrow keys are the page's again.
    page.keyboard.press("ArrowLeft")
    wait_drawn(page, HOUR_S - 20)


def test_keys_that_are_typed_into_a_field_turn_nothing(viewer: Viewer, page: Page) -> None:
    """An arrow in a text moves its caret; on the slider, it turns pages as everywhere."""
    open_recording(page, viewer.url, HOUR, MADE, t=100)
    page.locator("#goto").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.type("1")
    assert (state(page, "start"), state(page, "window")) == (100, 10)
    page.keyboard.press("Escape")
    page.locator("#slider").focus()
    page.keyboard.press("ArrowRight")
    wait_drawn(page, 110)


def test_keys_belong_to_an_open_form_or_menu(viewer: Viewer, page: Page) -> None:
    """A question mark can be written into a mark, and an arrow in a menu changes no trace."""
    open_recording(page, viewer.url, HOUR, MADE)
    page.keyboard.press("m")
    page.keyboard.type("spike?")
    expect(page.locator("#mark-form textarea")).to_have_value("spike?")
    expect(page.locator("#help")).to_be_hidden()
    page.keyboard.press("Escape")
    page.locator("#export > summary").click()
    page.keyboard.press("ArrowDown")
    assert state(page, "sensitivity") == 7


def test_buttons_turn_pages_as_keys_do(viewer: Viewer, page: Page) -> None:
    """To the start, back, on, to the end."""
    open_recording(page, viewer.url, HOUR, MADE, t=100)
    for button, start in (("next", 110), ("back", 100), ("last", HOUR_S - 10), ("first", 0)):
        page.locator(f"#{button}").click()
        wait_drawn(page, start)


def test_playing_turns_pages_until_the_end(viewer: Viewer, page: Page) -> None:
    """Faster and slower, page after page, and the last one stays."""
    open_recording(page, viewer.url, CLIP, CLIP_PATIENT, w=10)
    assert state(page, "speed") == 5
    page.locator("#speed").select_option("30")
    page.keyboard.press("[")
    assert state(page, "speed") == 10
    page.keyboard.press("]")
    page.evaluate(
        """() => {
          window.turned = [];
          document.addEventListener("ranvier:drawn", ({ detail }) => {
            if (window.turned.at(-1) !== detail.start) window.turned.push(detail.start);
          });
        }"""
    )
    page.locator("#traces").focus()
    page.keyboard.press(" ")
    wait_drawn(page, 40)
    wait_state(page, "!state.playing")
    assert page.evaluate("window.turned") == [10, 20, 30, 40]
    page.keyboard.press("Home")
    wait_drawn(page, 0)
    page.keyboard.press(" ")
    wait_state(page, "state.playing")
    page.keyboard.press(" ")
    wait_state(page, "!state.playing")


def test_neighbours_are_fetched_ahead(viewer: Viewer, page: Page) -> None:
    """The next page and the one before are there before they are asked for, and drawn at once."""
    asked = requests_of(page, "/eeg?")
    open_recording(page, viewer.url, HOUR, MADE, t=1000)
    _until(page, lambda: len(asked) == 3)
    assert sorted(round(_start(url)) for url in asked) == [990, 1000, 1010]
    page.wait_for_function(
        """() => performance.getEntriesByType("resource")
            .filter((each) => each.name.includes("/eeg?") && each.responseEnd > 0).length === 3"""
    )
    page.wait_for_load_state("networkidle")
    in_time = page.evaluate(
        """async () => {
          let at = null;
          document.addEventListener("ranvier:drawn", (event) => { at = event.detail.start; });
          window.ranvier.actions.turn(1);
          return at; // in the same task
        }"""
    )
    assert in_time == 1010
    _until(page, lambda: len(asked) == 4)
    assert round(_start(asked[-1])) == 1020


def _start(url: str) -> float:
    return float(parse_qs(urlsplit(url).query)["start"][0])


def _until(page: Page, condition: Callable[[], bool]) -> None:
    """Let the page work until a condition holds here."""
    for _ in range(600):
        if condition():
            return
        page.evaluate("new Promise((resolve) => setTimeout(resolve, 50))")
    raise AssertionError("not within 30 s")


def test_a_key_that_is_held_down_stays_smooth(viewer: Viewer, page: Page) -> None:
    """30 presses a second: the position follows each, the picture as it can."""
    open_recording(page, viewer.url, HOUR, MADE, w=60)
    # What draws the overview takes a second to load, once.
    page.locator("#overview .main-svg").first.wait_for()
    page.wait_for_load_state("networkidle")
    before = page.evaluate("window.draws")
    seen: list[float] = page.evaluate(
        """async () => {
          const starts = [];
          document.addEventListener("ranvier:drawn", ({ detail }) => starts.push(detail.start));
          const { actions } = window.ranvier;
          for (let number = 0; number < 50; number += 1) {
            actions.turn(1);
            await new Promise((resolve) => setTimeout(resolve, 33));
          }
          return starts;
        }"""
    )
    assert state(page, "start") == 50 * 60
    wait_drawn(page, 50 * 60)
    assert page.evaluate("window.draws") - before >= 3
    assert seen == sorted(seen)  # never back to a page that was overtaken


def test_requests_of_overtaken_pages_are_aborted(viewer: Viewer, page: Page) -> None:
    """Whoever jumps on before a page has come waits for the new one alone."""
    open_recording(page, viewer.url, HOUR, MADE, t=0)
    wait_state(page, "!state.loading")
    page.wait_for_load_state("networkidle")
    failed: list[str] = []

    def note(request: Request) -> None:
        failed.append(request.url)

    page.on("requestfailed", note)
    page.evaluate(
        """async () => {
          ranvier.actions.goTo(1000);
          await new Promise((resolve) => setTimeout(resolve, 0));
          // As if the reader had waited in between.
          const now = performance.now.bind(performance);
          performance.now = () => now() + 1000;
          ranvier.actions.goTo(2000);
        }"""
    )
    wait_drawn(page, 2000)
    _until(page, lambda: len(failed) > 0)
    assert {round(_start(url)) for url in failed} == {1000}


def test_memory_stays_bounded_over_many_pages(viewer: Viewer, page: Page) -> None:
    """The cache keeps 64 MB at most, and listeners and elements do not become more."""
    open_recording(page, viewer.url, HOUR, MADE, w=60, hp=None, lp=None)

    def counts() -> tuple[int, int]:
        session = page.context.new_cdp_session(page)
        session.send("HeapProfiler.collectGarbage")
        found = session.send("Memory.getDOMCounters")
        session.detach()
        return int(found["nodes"]), int(found["jsEventListeners"])

    def once_through(window: int) -> int:
        found: int = page.evaluate(
            """async (window_) => {
              const { store, actions } = window.ranvier;
              const drawn = (start) => new Promise((resolve) => {
                const look = () => {
                  const state = store.get();
                  if (state.pages?.start === start && !state.loading) resolve();
                  else setTimeout(look, 5);
                };
                look();
              });
              const { bytesKept } = await import("/page/pages.js");
              let fetched = 0;
              actions.toStart();
              actions.setWindow(window_);
              for (let start = 0; start < 3600; start += window_) {
                await drawn(start);
                fetched += store.get().pages.bytes;
                if (bytesKept() > 64 * 2 ** 20) throw new Error(`${bytesKept()} bytes are kept`);
                actions.turn(1);
              }
              return fetched;
            }""",
            window,
        )
        return found

    # More than can be kept, or nothing would have to be forgotten.
    assert once_through(60) + once_through(30) > 1.2 * KEPT_BYTES
    first = counts()
    once_through(60)
    second = counts()
    assert second[0] <= first[0] * 1.1 + 50
    assert second[1] <= first[1] + 20
    kept = page.evaluate("(async () => (await import('/page/pages.js')).bytesKept())()")
    assert 0.9 * KEPT_BYTES < kept <= KEPT_BYTES


def test_keys_of_the_scale_and_the_filters(viewer: Viewer, page: Page) -> None:
    """Plus and minus step through the sensitivities, and f takes the filters away and back."""
    open_recording(page, viewer.url, HOUR, MADE, hp=0.5, lp=35)
    for key, sensitivity in (("+", 5), ("ArrowUp", 3), ("-", 5), ("ArrowDown", 7), ("-", 10)):
        page.keyboard.press(key)
        assert state(page, "sensitivity") == sensitivity
    after_draw(page, lambda: page.keyboard.press("f"))
    assert [state(page, name) for name in ("hp", "lp", "notch")] == [None, None, None]
    after_draw(page, lambda: page.keyboard.press("f"))
    assert [state(page, name) for name in ("hp", "lp", "notch")] == [0.5, 35, None]
    # Of another recording, they were never taken away.
    page.keyboard.press("f")
    page.evaluate(
        "([to, of]) => ranvier.actions.open({ patient: of, recording: to })", ["gap.edf", MADE]
    )
    wait_state(page, "state.detail && !state.loading")
    for _ in range(2):
        page.keyboard.press("f")
    assert [state(page, name) for name in ("hp", "lp", "notch")] == [1, 70, None]


def test_help_lists_the_keys(viewer: Viewer, page: Page) -> None:
    """Also those that other parts of the page bind; Escape closes it."""
    open_recording(page, viewer.url, HOUR, MADE)
    page.keyboard.press("?")
    dialog = page.locator("#help")
    expect(dialog).to_be_visible()
    for text in ("page on", "next seizure", "caliper", "play and pause"):
        expect(dialog).to_contain_text(text)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.locator("#help-button").click()
    expect(dialog).to_be_visible()
    page.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()


def test_a_page_turn_is_one_drawing(viewer: Viewer, page: Page) -> None:
    """Nothing is drawn twice, and what was fetched is not fetched again on the way back."""
    open_recording(page, viewer.url, HOUR, MADE, w=10)
    page.wait_for_load_state("networkidle")
    first = page.evaluate("window.draws")
    asked = requests_of(page, "/eeg?")
    for number in range(1, 6):
        after_draw(page, lambda: page.keyboard.press("ArrowRight"))
        assert page.evaluate("window.draws") == first + number
    _until(page, lambda: bool(asked) and round(_start(asked[-1])) == 60)
    before = len(asked)
    for number in range(6, 11):
        after_draw(page, lambda: page.keyboard.press("ArrowLeft"))
        assert page.evaluate("window.draws") == first + number
    assert len(asked) == before
    assert len(drawn(page)["rows"]) == 23
