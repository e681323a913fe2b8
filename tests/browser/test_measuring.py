"""Clocks, the cursor's read-out, the caliper and the selected stretch, against the raw values."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page, expect

from tests.support.browser import after_draw, open_recording, state, wait_drawn, wait_state
from tests.support.viewed_recordings import (
    CLIP,
    CLIP_PATIENT,
    GAP,
    GAP_END_S,
    GAP_START_S,
    HOUR,
    MADE,
    MIXED,
    RATE,
    REFERENTIAL,
    samples_of,
)
from tests.support.viewing import Viewer

CLOCK = "const clock = await import('/page/clock.js');"
LATE = "2076-11-06T23:43:04.500000+00:00"


def place(
    page: Page, seconds: float, row: int = 0, value: float | None = None
) -> tuple[float, float]:
    """Return where on the screen a time is, at the height of a row or of one of its values."""
    box = page.locator("#layer-over").bounding_box()
    assert box is not None
    x, y = page.evaluate(
        """([seconds, number, value]) => {
          const { frame } = window.ranvier.store.get();
          const row = frame.rows[number];
          return [frame.xAt(seconds), value === null ? row.middle : frame.yAt(row, value)];
        }""",
        [seconds, row, value],
    )
    return box["x"] + x, box["y"] + y


def raw(viewer: Viewer, recording: str, patient: str, start: float, end: float) -> dict[str, Any]:
    """Return the samples as the API has them, unfiltered."""
    asked: dict[str, str | float] = {"patient_id": patient, "recording_id": recording}
    asked |= {"start": start, "end": end}
    with viewer.records.client() as client:
        found: dict[str, Any] = client.get("/eeg", params=asked).json()
    return found


def numbers(text: str) -> list[float]:
    """Return the numbers in a text; the minus that people print is one as well."""
    found = re.findall(r"-?\d+(?:\.\d+)?", text.replace("\u2212", "-"))
    return [float(each) for each in found]


def reading(page: Page, name: str) -> str:
    return page.locator(f"#reading .reading-{name}").first.inner_text()


def clock(page: Page, script: str, *given: Any) -> Any:
    return page.evaluate(f"async (given) => {{ {CLOCK} {script} }}", list(given))


# --- clocks ---------------------------------------------------------------------------------------


def test_times_as_text(viewer: Viewer, page: Page) -> None:
    page.goto(viewer.url)
    found = clock(
        page,
        """
        const [late] = given;
        const relative = { clock: "relative", detail: { start_time: late } };
        const absolute = { clock: "absolute", detail: { start_time: late } };
        const unknown = { clock: "absolute", detail: { start_time: null } };
        const east = { clock: "absolute", detail: { start_time: "2020-01-01T08:00:00+05:45" } };
        const all = (state, times, precision) =>
          times.map((time) => clock.formatTime(state, time, precision));
        return {
          relative: all(relative, [0, 59.9996, 3723.4567, -5, -0.0001, 90000], 3),
          whole: all(relative, [0, 59.5, 3600]),
          absolute: all(absolute, [0, 1015.5, 1015.4999, 90000, -86400], 3),
          unknown: all(unknown, [75]), east: all(east, [60]), none: all({ clock: "absolute" }, [1]),
          spans: [0, 0.35, 40, 40.25, 130, 3600, 86400].map(clock.formatDuration) };
        """,
        LATE,
    )
    assert found == {
        "relative": [
            *("0:00:00.000", "0:01:00.000", "1:02:03.457"),
            *("-0:00:05.000", "0:00:00.000", "25:00:00.000"),
        ],
        "whole": ["0:00:00", "0:01:00", "1:00:00"],
        "absolute": [
            *("23:43:04.500", "00:00:00.000 +1d", "00:00:00.000 +1d"),
            *("00:43:04.500 +2d", "23:43:04.500 -1d"),
        ],
        "unknown": ["0:01:15"],
        "east": ["08:01:00"],
        "none": ["0:00:01"],
        "spans": ["0 ms", "350 ms", "40 s", "40.3 s", "2 min 10 s", "1 h 00 min", "24 h 00 min"],
    }


def test_texts_as_times(viewer: Viewer, page: Page) -> None:
    page.goto(viewer.url)
    found = clock(
        page,
        """
        const [late, texts] = given;
        const known = { detail: { start_time: late }, end: 200000 };
        const relative = { ...known, clock: "relative", start: 0 };
        const absolute = { ...known, clock: "absolute", start: 0 };
        const second = { ...absolute, start: 86400 };
        return texts.map((text) =>
          [relative, absolute, second].map((state) => clock.parseTime(state, text)));
        """,
        LATE,
        [
            "75",
            "1:15",
            "0:01:15",
            "1,5",
            "-5",
            "00:10:00",
            "00:10:00 +1d",
            "23:50",
            "25:00",
            "1:75",
        ],
    )
    assert found == [
        [75, 75, 75],
        [75, 5515.5, 5515.5 + 86400],
        [75, 1090.5, 1090.5 + 86400],
        [1.5, 1.5, 1.5],
        [-5, -5, -5],
        [600, 1615.5, 1615.5 + 86400],
        [None, 1615.5, 1615.5],  # a day that is named wins
        [1430, 415.5, 415.5 + 86400],
        [1500, None, None],
        [None, None, None],
    ]
    for text in ("", "soon", "1:2:3:4", "1::2", ":", "1e3", "--5", "0x10", "1:2d"):
        assert clock(page, "return clock.parseTime({ clock: 'relative' }, given[0]);", text) is None


@pytest.mark.parametrize("kind", ["relative", "absolute"])
def test_what_is_written_is_read_again(viewer: Viewer, page: Page, kind: str) -> None:
    page.goto(viewer.url)
    rng = np.random.default_rng(1)
    times = [round(float(each), 3) for each in rng.uniform(0, 200_000, 200)]
    found = clock(
        page,
        """
        const [late, kind, times] = given;
        const state = { clock: kind, detail: { start_time: late }, end: 200000, start: 0 };
        // Without a day the nearest is meant; what is written says the day, except the first.
        return times.map((time) =>
          clock.parseTime({ ...state, start: time }, clock.formatTime(state, time, 3)));
        """,
        LATE,
        kind,
        times,
    )
    assert found == pytest.approx(times, abs=1e-6)


# --- the cursor -----------------------------------------------------------------------------------


def test_the_reading_is_the_sample_of_the_api(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, CLIP, CLIP_PATIENT, t=5, hp=None, lp=None)
    held = raw(viewer, CLIP, CLIP_PATIENT, 5, 15)
    keys = [curve["key"] for curve in state(page, "curves")]
    for number, seconds in ((0, 6.001), (7, 9.5), (22, 13.77)):
        page.mouse.move(*place(page, seconds, number))
        expect(page.locator(".reading-channel")).to_have_text(keys[number].partition("#")[0])
        wait_state(page, "true")
        shown = page.evaluate("""async () => (await import("/page/cursor.js")).hovered().seconds""")
        assert shown == pytest.approx(seconds, abs=0.01)
        at = round((shown - 5) * RATE)
        value = held[keys[number]][at]["value"]
        expect(page.locator(".reading-value")).to_contain_text("\u00b5V")
        assert numbers(reading(page, "value"))[0] == pytest.approx(value, abs=0.0501)
        # Both clocks: the recording begins at 14:32:50.
        span, hour = reading(page, "time").split(" \u00b7 ")
        assert span.startswith("0:00:")
        assert hour.startswith("14:3")
        assert numbers(span.rpartition(":")[2])[0] == pytest.approx(shown, abs=0.0006)
    page.mouse.move(5, 5)
    expect(page.locator(".reading-time")).to_have_text("")


def test_the_reading_follows_the_page_and_the_units(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, MIXED, MADE, hp=None, lp=None)
    labels = [curve["label"] for curve in state(page, "curves")]
    number = labels.index("SpO2")
    page.mouse.move(*place(page, 5.2, number))
    expect(page.locator(".reading-value")).to_contain_text("%")
    saturation = samples_of(MIXED, "SpO2")
    assert numbers(reading(page, "value"))[0] == pytest.approx(saturation[5], abs=0.006)
    # The pointer stays where it is while the page is turned: what is there is another time.
    page.keyboard.press("ArrowRight")
    wait_drawn(page, 10)
    expect(page.locator(".reading-time")).to_contain_text("0:00:15.")
    page.keyboard.press("ArrowRight")
    wait_drawn(page, 20)
    expect(page.locator(".reading-time")).to_contain_text("0:00:25.")


def test_nothing_is_read_in_a_gap(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, GAP, MADE, t=18)
    page.mouse.move(*place(page, (GAP_START_S + GAP_END_S) / 2))
    expect(page.locator(".reading-value")).to_have_text("no samples")
    page.mouse.move(*place(page, GAP_START_S - 1))
    expect(page.locator(".reading-value")).to_contain_text("\u00b5V")


def test_moving_draws_no_traces(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, CLIP, CLIP_PATIENT)
    page.evaluate(
        """() => {
          window.painted = 0;
          const pen = document.getElementById("layer-traces").getContext("2d");
          const { clearRect } = CanvasRenderingContext2D.prototype;
          pen.clearRect = function (...where) {
            window.painted += 1;
            clearRect.apply(this, where);
          };
        }"""
    )
    before = page.evaluate("window.draws")
    for step in range(30):
        page.mouse.move(*place(page, 1 + step / 5, step % 23))
    expect(page.locator(".reading-time")).not_to_have_text("")
    assert page.evaluate("[window.draws, window.painted]") == [before, 0]


def test_a_click_leaves_a_cursor(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, HOUR, MADE, t=100)
    page.mouse.click(*place(page, 104))
    assert state(page, "cursor") == pytest.approx(104, abs=0.02)
    page.mouse.move(5, 5)
    expect(page.locator(".reading-time")).to_contain_text("0:01:4")
    page.keyboard.press("Escape")
    wait_state(page, "state.cursor === null")


# --- the caliper ----------------------------------------------------------------------------------


def test_what_lies_between_two_points(viewer: Viewer, page: Page) -> None:
    page.goto(viewer.url)
    found = page.evaluate(
        """async () => {
          const { measure, measureText } = await import("/page/caliper.js");
          const at = (time, value) => ({ time, value });
          const pairs = [[at(1, 10), at(1.1, -40)], [at(2, 0), at(1.5, 7.25)], [at(1, 5), at(1, 5)],
            [at(1, null), at(3, 5)]];
          return pairs.map(([from, to]) => {
            const found = measure(from, to);
            return [found.ms, found.hz, found.difference, measureText(found, "uV")];
          });
        }"""
    )
    assert found[0][:3] == pytest.approx([100, 10, -50])
    assert found[0][3] == "100.0 ms \u00b7 10.0 Hz \u00b7 \u221250.0 \u00b5V"
    assert found[1] == [500, 2, 7.25, "500.0 ms \u00b7 2.00 Hz \u00b7 7.3 \u00b5V"]
    assert found[2] == [0, None, 0, "0.0 ms \u00b7 0.0 \u00b5V"]
    assert found[3] == [2000, 0.5, None, "2000 ms \u00b7 0.50 Hz"]


def test_the_caliper_measures_the_samples(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, REFERENTIAL, MADE, t=30, hp=None, lp=None)
    truth: NDArray[np.float64] = samples_of(REFERENTIAL, "Fz")
    number = [curve["label"] for curve in state(page, "curves")].index("Fz")
    page.keyboard.press("c")
    button = page.locator("#caliper")
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#measured")).to_have_text("drag between two points")
    page.mouse.move(*place(page, 33, number))
    page.mouse.down()
    page.mouse.move(*place(page, 33.2, number))
    page.mouse.move(*place(page, 33.5, number))
    page.mouse.up()
    caliper = state(page, "caliper")
    for point, seconds in ((caliper["from"], 33), (caliper["to"], 33.5)):
        assert point["time"] == pytest.approx(seconds, abs=0.01)
        at = round(point["time"] * RATE)
        assert at / RATE == pytest.approx(point["time"], abs=1e-9)  # it lies on a sample
        assert point["value"] == pytest.approx(truth[at], abs=1e-3)
    length = caliper["to"]["time"] - caliper["from"]["time"]
    ms, hz, difference = numbers(page.locator("#measured").inner_text())
    assert ms == pytest.approx(length * 1000, abs=0.051)
    assert hz == pytest.approx(1 / length, abs=0.0051)
    expected = caliper["to"]["value"] - caliper["from"]["value"]
    assert difference == pytest.approx(expected, abs=0.051)
    assert state(page, "selection") is None  # the drag was the caliper's
    assert page.evaluate(
        """() => {
          const { frame, caliper } = window.ranvier.store.get();
          const canvas = document.getElementById("layer-over");
          const ratio = canvas.width / frame.width;
          const row = frame.rows.find((each) => each.key === caliper.key);
          const { time, value } = caliper.from;
          return canvas.getContext("2d").getImageData(
            Math.round(frame.xAt(time) * ratio), Math.round(frame.yAt(row, value) * ratio), 1, 1,
          ).data[3];
        }"""
    )
    # It stays with the samples when the page moves, and Escape takes it away.
    after_draw(page, lambda: page.keyboard.press("Shift+ArrowRight"))
    assert state(page, "caliper") == caliper
    page.keyboard.press("Escape")
    expect(button).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#measured")).to_have_text("")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    button.click()
    wait_state(page, "state.caliper === null")


def test_the_caliper_follows_the_filters(viewer: Viewer, page: Page) -> None:
    """It measures what is drawn: the same instants have other values behind another filter."""
    open_recording(page, viewer.url, REFERENTIAL, MADE, t=30, hp=None, lp=None)
    page.keyboard.press("c")
    page.mouse.move(*place(page, 33, 3))
    page.mouse.down()
    page.mouse.move(*place(page, 33.2, 3))
    page.mouse.move(*place(page, 33.5, 3))
    page.mouse.up()
    caliper = state(page, "caliper")
    page.locator("#hp").select_option(label="5 Hz")
    wait_state(page, "!state.loading && state.hp === 5")
    first, last = page.evaluate(
        """async ([key, ...times]) => {
          const { sampleAt } = await import("/page/rows.js");
          return times.map((time) => sampleAt(window.ranvier.store.get().pages, key, time).value);
        }""",
        [caliper["key"], caliper["from"]["time"], caliper["to"]["time"]],
    )
    assert abs(last - first - (caliper["to"]["value"] - caliper["from"]["value"])) > 1
    *_, difference = numbers(page.locator("#measured").inner_text())
    assert difference == pytest.approx(last - first, abs=0.051)


def test_the_caliper_anywhere_with_shift(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, REFERENTIAL, MADE, t=30)
    page.keyboard.press("c")
    page.keyboard.down("Shift")
    page.mouse.move(*place(page, 31, 4, 20))
    page.mouse.down()
    page.mouse.move(*place(page, 31.1, 4, 0))
    page.mouse.move(*place(page, 31.25, 4, -30))
    page.mouse.up()
    page.keyboard.up("Shift")
    ms, hz, difference = numbers(page.locator("#measured").inner_text())
    per_px = page.evaluate("window.ranvier.store.get().frame.rows[4].uvPerPx")
    assert ms == pytest.approx(250, abs=15)
    assert hz == pytest.approx(4, abs=0.25)
    assert difference == pytest.approx(-50, abs=1.1 * per_px)


# --- the selected stretch -------------------------------------------------------------------------


def test_a_stretch_is_selected(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, HOUR, MADE, t=100)
    page.mouse.move(*place(page, 107, 3))
    page.mouse.down()
    page.mouse.move(*place(page, 104, 3))
    page.mouse.move(*place(page, 102.5, 3))
    page.mouse.up()
    chosen = state(page, "selection")  # backwards is the same
    assert [chosen["start"], chosen["end"]] == pytest.approx([102.5, 107], abs=0.02)
    assert chosen["keys"] == []
    text = page.locator("#selected-span").inner_text()
    assert text.startswith("0:01:42.5" if chosen["start"] >= 102.5 else "0:01:42.4")
    assert text.endswith(f"{round(chosen['end'] - chosen['start'], 2):g} s")
    alpha = """() => {
      const { frame } = window.ranvier.store.get();
      const canvas = document.getElementById("layer-over");
      const ratio = canvas.width / frame.width;
      const y = Math.round((frame.top + 40) * ratio);
      const at = (time) => canvas.getContext("2d")
        .getImageData(Math.round(frame.xAt(time) * ratio), y, 1, 1).data[3];
      return at(105.1) > 0 && at(101.9) === 0;
    }"""
    page.mouse.move(5, 5)
    page.wait_for_function(alpha)
    # Beyond the page's edge it ends at the edge.
    page.mouse.move(*place(page, 108))
    page.mouse.down()
    page.mouse.move(1590, 300)
    page.mouse.move(1595, 300)
    page.mouse.up()
    assert state(page, "selection")["end"] == pytest.approx(110, abs=1e-6)
    page.keyboard.press("Escape")
    wait_state(page, "state.selection === null")
    expect(page.locator("#selected-span")).to_have_text("")


def test_a_double_click_selects_the_seizure(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, CLIP, CLIP_PATIENT, t=8)
    wait_state(page, "state.annotations.length === 1")
    page.mouse.dblclick(*place(page, 12, 3))
    wait_state(page, "state.selection !== null && state.selected !== null")
    chosen = state(page, "selection")
    assert (chosen["start"], chosen["end"]) == (10, 50)
    expect(page.locator("#selected-span")).to_have_text(
        "0:00:10.000 \u2013 0:00:50.000 \u00b7 40 s"
    )
    page.mouse.dblclick(*place(page, 9, 3))
    wait_state(page, "state.selection === null")
