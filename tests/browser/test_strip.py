"""The overview of a whole recording: its envelope, density array and marks, and the way there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page, expect

from tests.support.browser import (
    Problems,
    after_draw,
    open_recording,
    state,
    wait_drawn,
    wait_state,
)
from tests.support.viewed_recordings import (
    GAP_END_S,
    GAP_START_S,
    HOUR_SEIZURE_S,
)
from tests.support.viewing import Viewer

HOUR_S = 3600
LEFT = ("FP1-F7", "F7-T7", "T7-P7", "P7-O1", "FP1-F3", "F3-C3", "C3-P3", "P3-O1", "P7-T7", "T7-FT9")
FIGURE = """id => {
  const plot = document.querySelector(`#${id} .js-plotly-plot`);
  return plot?.data?.length ? JSON.parse(JSON.stringify(plot.data, (key, value) =>
    key && ArrayBuffer.isView(value) ? Array.from(value, v => Number.isNaN(v) ? null : v) : value
  )) : null;
}"""


def figure(page: Page, name: str) -> dict[str, Any]:
    """Return the traces of a figure by name, as soon as it has some."""
    traces = page.wait_for_function(FIGURE, arg=name).json_value()
    return {trace["name"]: trace for trace in traces}


def numbers(values: list[Any]) -> NDArray[np.float64]:
    """Return numbers, NaN for null."""
    return np.array([np.nan if each is None else each for each in values], np.float64)


def plot_area(page: Page, name: str = "overview") -> dict[str, float]:
    """Return where a figure's plotting area lies on the page."""
    found: dict[str, float] = page.evaluate(
        """id => {
          const plot = document.querySelector(`#${id} .js-plotly-plot`);
          const box = plot.getBoundingClientRect();
          const { l, t, w, h } = plot._fullLayout._size;
          return { x: box.x + l, y: box.y + t, width: w, height: h };
        }""",
        name,
    )
    return found


def marker(page: Page) -> dict[str, float]:
    """Return where the marker of the page lies."""
    found = page.locator("#window-marker").bounding_box()
    assert found is not None
    return {name: float(value) for name, value in found.items()}  # type: ignore[arg-type]


@pytest.mark.parametrize(("recording", "patient"), [("hour.edf", "made"), ("gap.edf", "made")])
def test_the_envelope_is_the_one_of_the_service(
    viewer: Viewer, page: Page, recording: str, patient: str
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_recording(page, viewer.url, recording, patient)
    shown = figure(page, "overview")
    (url,) = {each for each in asked if "/overview?" in each}
    with viewer.records.client() as client:
        (group,) = client.get(url.partition("/api")[2]).json()["groups"]
    height = np.array(group["high"], float) - np.array(group["low"], float)
    edges = group["start"] + np.arange(group["num_bins"] + 1) * group["bin_sec"]
    for name, curve in (
        ("median", np.median(height, axis=0)),
        ("largest", np.max(height, axis=0)),
    ):
        drawn = dict.fromkeys(
            zip(shown[name]["x"], numbers(shown[name]["y"]).astype(np.float32), strict=True)
        )
        floor = np.nanmin(numbers(shown[name]["y"]))
        for bin_, value in enumerate(curve):
            if np.isnan(value):
                continue
            for edge in edges[bin_ : bin_ + 2]:
                assert any(
                    abs(y - max(value, floor)) < 1e-3 * max(1, value)
                    for x, y in drawn
                    if x is not None and abs(x - edge) < 1e-6
                )
        # A bin holds slow waves as a whole, however short the recording is.
        assert 1 <= group["bin_sec"] < 3


def test_a_gap_is_seen_as_a_gap(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, "gap.edf", "made")
    shown = figure(page, "overview")
    assert shown["gaps"]["x"][:2] == [GAP_START_S] * 2
    assert shown["gaps"]["x"][2] == GAP_END_S
    x, y = numbers(shown["median"]["x"]), numbers(shown["median"]["y"])
    # Two polygons, and nothing over the gap.
    assert np.isnan(x).sum() == 1
    (between,) = np.flatnonzero(np.isnan(x))
    bin_s = 1.01
    assert abs(x[between - 1] - GAP_START_S) < bin_s
    assert abs(x[between + 1] - GAP_END_S) < bin_s
    assert not np.any((x > GAP_START_S + bin_s) & (x < GAP_END_S - bin_s))
    assert np.nanmin(y) == y[between - 1]
    texts = [shown["file"]["x"][at] for at in range(0, len(shown["file"]["x"]), 6)]
    assert texts == [5, 30, 50]


def test_seizures_are_marked_where_they_are(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, "hour.edf", "made")
    page.wait_for_function(
        """() => document.querySelector("#overview .js-plotly-plot")?.data
          .find(trace => trace.name === "seizure")?.x.length > 0"""
    )
    x = figure(page, "overview")["seizure"]["x"]
    assert (min(x[:5]), max(x[:5])) == HOUR_SEIZURE_S
    assert len(x) == 6


@pytest.mark.parametrize("where", ["overview", "density"])
def test_a_click_goes_there(viewer: Viewer, page: Page, where: str) -> None:
    open_recording(page, viewer.url, "hour.edf", "made")
    figure(page, "density")
    area = plot_area(page, where)
    for share in (0.25, 0.8, 0.0, 1.0):
        page.mouse.click(area["x"] + share * area["width"], area["y"] + area["height"] / 2)
        expected = min(max(share * HOUR_S - 5, 0), HOUR_S - 10)
        second_per_pixel = HOUR_S / area["width"]
        page.wait_for_function(
            "([start, off]) => Math.abs(window.ranvier.drawn.start - start) <= off",
            arg=[expected, second_per_pixel],
        )
        shown = marker(page)
        middle = shown["x"] + shown["width"] / 2
        assert abs(middle - (area["x"] + (expected + 5) / HOUR_S * area["width"])) < 1.5


def test_dragging_scrubs_and_hovering_tells_the_time(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, "hour.edf", "made")
    figure(page, "density")
    area = plot_area(page)
    y = area["y"] + area["height"] / 2
    page.mouse.move(area["x"] + area["width"] / 2, y)
    assert page.locator(".strip-time").text_content() == "0:30:00"
    page.mouse.down()
    starts = set()
    for share in np.linspace(0.5, 0.75, 12):
        after = state(page, "start")
        page.mouse.move(area["x"] + share * area["width"], y)
        if share > 0.5:
            wait_state(page, f"state.start !== {after}")
        starts.add(state(page, "start"))
    page.mouse.up()
    assert len(starts) > 8
    expected = 0.75 * HOUR_S - 5
    wait_state(page, f"Math.abs(state.start - {expected}) <= {HOUR_S / area['width']}")
    page.mouse.move(area["x"], area["y"] - 200)
    assert page.locator(".strip-line").evaluate("line => line.style.visibility") == "hidden"


def test_a_page_turn_moves_the_marker_and_draws_no_figure(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, "chb01_03_clip.edf", "chb01")
    figure(page, "overview")
    figure(page, "density")
    wait_state(page, "state.annotations.length === 1")
    page.wait_for_function(
        """() => document.querySelector("#overview .js-plotly-plot")?.data
          .find(trace => trace.name === "seizure")?.x.length > 0"""
    )
    page.evaluate(
        """() => {
          window.plotted = 0;
          window.plottedAt = performance.now();
          for (const plot of document.querySelectorAll(".js-plotly-plot"))
            plot.on("plotly_afterplot", () => {
              window.plotted += 1;
              window.plottedAt = performance.now();
            });
        }"""
    )
    # Graphs fit themselves into their boxes once more when they are new.
    page.wait_for_function("() => performance.now() - window.plottedAt > 1000")
    page.evaluate("window.plotted = 0")
    area = plot_area(page)
    for number in range(1, 5):
        after_draw(page, lambda: page.keyboard.press("ArrowRight"))
        wait_drawn(page, 10 * number)
        shown = marker(page)
        assert abs(shown["x"] - (area["x"] + number * area["width"] / 5)) < 1
        assert abs(shown["width"] - area["width"] / 5) < 1
    assert page.evaluate("window.plotted") == 0


def test_the_density_array_is_the_one_of_the_service(viewer: Viewer, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_recording(page, viewer.url, "hour.edf", "made")
    figure(page, "density")
    (url,) = {each for each in asked if "/dsa?" in each}
    with viewer.records.client() as client:
        answer = client.get(url.partition("/api")[2].replace("format=raw", "format=json")).json()
    steps = np.array(answer["values"], float)  # column, row, channel
    steps[steps == 0] = np.nan
    decibels = answer["floor_db"] + (steps - 1) * answer["step_db"]
    keys = answer["channels"]
    one = [keys.index("C3-P3")]
    left = [place for place, key in enumerate(keys) if key in LEFT]
    assert len(left) == len(LEFT)
    for region, places in (("all", range(len(keys))), ("left", left), ("C3-P3", one)):
        page.select_option("#density-region", region)
        expected = np.nanmedian(decibels[:, :, list(places)], axis=2).T
        page.wait_for_function(
            """value => {
              const [heat] = document.querySelector("#density .js-plotly-plot").data;
              return Math.abs(heat.z[20][100] - value) < 1e-6;
            }""",
            arg=float(expected[20, 100]),
        )
        heat = figure(page, "density")["density"]
        shown = np.array([numbers(row) for row in heat["z"]])
        np.testing.assert_allclose(shown, expected, atol=1e-5)
        assert heat["x0"] == answer["start"] + answer["column_sec"] / 2
        assert heat["dx"] == answer["column_sec"]
        assert (heat["y0"], heat["dy"]) == (answer["row_hz"] / 2, answer["row_hz"])
    envelope, density = plot_area(page, "overview"), plot_area(page, "density")
    assert envelope["x"] == density["x"]
    assert envelope["width"] == density["width"]


def test_what_is_too_short_for_an_array_says_so(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, "chb05_01.edf", "chb05")
    note = page.locator("#strip").get_by_text("Nothing is held for the 4 s of a column.")
    expect(note).to_be_visible()


def test_both_themes_and_clocks(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, "chb01_03_clip.edf", "chb01", clock="absolute")
    figure(page, "density")
    about = """() => {
      const { layout } = document.querySelector("#density .js-plotly-plot");
      return [layout.font.color, layout.xaxis.ticktext[0], layout.xaxis.tickvals[0]];
    }"""
    light, text, at = page.evaluate(about)
    # It began at 14:32:50; labels stand at round seconds of the clock.
    assert (text, at) == ("14:32:50", 0)
    page.click("#theme")
    page.wait_for_function(
        """before =>
          document.querySelector("#density .js-plotly-plot").layout.font.color !== before""",
        arg=light,
    )


def test_a_live_recording_grows_in_the_strip(viewer: Viewer, page: Page) -> None:
    rate, seconds = 64, 20
    wave = 50 * np.sin(2 * np.pi * 8 * np.arange(rate * seconds) / rate)
    chunk = {
        "patient_id": "made",
        "recording_id": "growing",
        "channels": ["C3", "C4"],
        "start": 0,
        "end": seconds,
        "samples": [wave.tolist(), (2 * wave).tolist()],
    }
    with viewer.records.client() as client:
        assert client.post("/ingest", json=chunk).status_code == 201
        open_recording(page, viewer.url, "growing", "made")
        shown = figure(page, "overview")["largest"]
        assert max(each for each in shown["x"] if each is not None) == pytest.approx(20)
        chunk |= {"start": seconds, "end": 2 * seconds}
        assert client.post("/ingest", json=chunk).status_code == 201
    page.wait_for_function(
        """() => document.querySelector("#overview .js-plotly-plot").data
          .find(trace => trace.name === "largest").x.some(x => x > 39)"""
    )
    shown = figure(page, "overview")["largest"]
    assert max(y for y in shown["y"] if y is not None) == pytest.approx(200, rel=0.01)
    # The axis goes on ahead of the recording, so that what is drawn stays in its place.
    ends = page.evaluate(
        """() => document.querySelector("#overview .js-plotly-plot").layout.xaxis.range"""
    )
    assert ends == [0, 60]
    expect(page.locator("#strip").get_by_text("The colour density array comes")).to_be_visible()


def test_an_overview_that_cannot_be_had_says_so(
    viewer: Viewer, page: Page, problems: Problems
) -> None:
    problems.allow("500")
    page.route(
        "**/overview?**", lambda route: route.fulfill(status=500, json={"detail": "it is broken"})
    )
    open_recording(page, viewer.url, "hour.edf", "made")
    note = page.locator("#strip").get_by_text("The overview cannot be shown: it is broken")
    expect(note).to_be_visible()
