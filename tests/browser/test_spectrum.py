"""The spectrogram of a channel: its numbers, its stretch, and what it says where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.signal
from numpy.typing import NDArray
from playwright.sync_api import Page, expect

from tests.support.browser import open_recording, state, wait_drawn, wait_state
from tests.support.viewed_recordings import GAP_END_S, GAP_START_S, RATE, samples_of
from tests.support.viewing import Viewer

SIZES_S = (0.5, 1, 2, 4)
FIGURE = """([start, window_]) => {
  const plot = document.querySelector("#spectrogram .js-plotly-plot");
  const heat = plot?.data?.[0];
  const pages = plot?.layout?.shapes?.slice(0, 2).map(shape => shape.x0);
  if (!heat || pages[0] !== start || (window_ && pages[1] !== start + window_)) return null;
  const listed = values => Array.from(values, v => Number.isNaN(v) ? null : v);
  return {
    name: heat.name, x0: heat.x0, dx: heat.dx, y: listed(heat.y), z: heat.z.map(listed),
    range: plot.layout.xaxis.range, top: plot.layout.yaxis.range[1],
    shapes: plot.layout.shapes.map(({ name, x0 }) => [name ?? null, x0]),
  };
}"""


def figure(page: Page, start: float, window: float | None = None) -> dict[str, Any]:
    """Return the spectrogram as soon as it is of the page that starts there."""
    found: dict[str, Any] = page.wait_for_function(FIGURE, arg=[start, window]).json_value()
    rows = [[np.nan if each is None else each for each in row] for row in found["z"]]
    return found | {"z": np.array(rows, float), "y": np.array(found["y"], float)}


def by_scipy(
    samples: NDArray[np.float64], rate: float, size: float, step: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return frequencies, times and decibels."""
    length, hop = round(size * rate), round(step * rate)
    frequencies, times, power = scipy.signal.spectrogram(
        samples, rate, "hann", length, length - hop, detrend="constant"
    )
    return frequencies, times, 10 * np.log10(power)


def test_the_numbers_are_those_of_scipy(viewer: Viewer, page: Page) -> None:
    link: dict[str, Any] = {"t": 40, "spectrum": "C3", "spectrum_window": SIZES_S[0]}
    open_recording(page, viewer.url, "referential.edf", "made", **link)
    samples = samples_of("referential.edf", "C3")
    for size in SIZES_S:
        page.select_option("#spectrum-window", f"{size:g}")
        page.wait_for_function(
            """row => Math.abs(document.querySelector("#spectrogram .js-plotly-plot")
              ?.data?.[0]?.y?.[1] - row) < 1e-9""",
            arg=1 / size,
        )
        check_numbers(figure(page, 40, 10), samples, size)


def check_numbers(shown: dict[str, Any], samples: NDArray[np.float64], size: float) -> None:
    first = round((shown["x0"] - size / 2) * RATE)
    columns = shown["z"].shape[1]
    last = first + round((columns - 1) * shown["dx"] * RATE) + round(size * RATE)
    frequencies, times, decibels = by_scipy(samples[first:last], RATE, size, shown["dx"])
    kept = frequencies <= 70
    np.testing.assert_allclose(shown["y"], frequencies[kept], atol=1e-9)
    assert decibels.shape[1] == columns
    np.testing.assert_allclose(shown["z"][1:], decibels[kept][1:], atol=0.02)
    np.testing.assert_allclose(
        shown["x0"] + shown["dx"] * np.arange(columns), first / RATE + times, atol=1e-6
    )
    # The page, and as much before and after, at least a minute.
    assert shown["range"] == [15, 75]
    assert shown["x0"] <= 15.01
    assert shown["top"] == 70
    # What was put in at 50 Hz is the highest above the rhythm.
    above = shown["y"] > 20
    assert abs(shown["y"][above][np.nanmean(shown["z"][above], axis=1).argmax()] - 50) <= 2 / size


def test_it_follows_the_page_but_not_each_of_many_turns(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, "hour.edf", "made", t=600, spectrum="F7-T7")
    figure(page, 600)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate(
        """async () => {
          for (let turn = 0; turn < 12; turn += 1) {
            window.ranvier.actions.turn(1);
            await new Promise(done => setTimeout(done, 20));
          }
        }"""
    )
    wait_drawn(page, 720)
    figure(page, 720)
    # It waited until the turning had come to rest.
    assert len([url for url in asked if "/spectrogram?" in url]) <= 2


def test_seizures_and_the_page_are_marked_in_it(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, "chb01_03_clip.edf", "chb01", t=20, spectrum="F7-T7")
    wait_state(page, "state.annotations.length === 1")
    page.wait_for_function(
        """() => document.querySelector("#spectrogram .js-plotly-plot")?.layout?.shapes
          ?.some(shape => shape.name === "seizure")"""
    )
    assert figure(page, 20)["shapes"] == [[None, 20], [None, 30], ["seizure", 10], ["seizure", 50]]


def test_a_gap_is_blank(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, "gap.edf", "made", t=20, spectrum="F7-T7", spectrum_window=1)
    shown = figure(page, 20)
    times = shown["x0"] + shown["dx"] * np.arange(shown["z"].shape[1])
    touches = (times + 0.5 > GAP_START_S + 1e-6) & (times - 0.5 < GAP_END_S - 1e-6)
    assert touches.any()
    assert np.isnan(shown["z"][:, touches]).all()
    assert not np.isnan(shown["z"][:, ~touches]).any()


def test_a_click_on_a_label_chooses_the_channel_and_another_closes_it(
    viewer: Viewer, page: Page
) -> None:
    open_recording(page, viewer.url, "chb01_03_clip.edf", "chb01")
    assert page.locator("#spectrum-body").is_hidden()
    place = page.evaluate(
        """() => {
          const box = document.querySelector("#traces").getBoundingClientRect();
          const row = window.ranvier.store.get().frame.rows.find(each => each.key === "C3-P3");
          return [box.x + 20, box.y + row.middle];
        }"""
    )
    page.mouse.click(*place)
    wait_state(page, "state.spectrum === 'C3-P3'")
    assert figure(page, 0)["name"] == "C3-P3"
    assert page.locator("#spectrum-channel").input_value() == "C3-P3"
    page.select_option("#spectrum-channel", "T8-P8#2")
    page.wait_for_function(
        """() => document.querySelector("#spectrogram .js-plotly-plot").data[0]?.name
          === "T8-P8#2" """
    )
    page.select_option("#spectrum-channel", "")
    wait_state(page, "state.spectrum === null")
    assert page.locator("#spectrum-body").is_hidden()


def test_slow_channels_go_up_to_half_their_rate(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, "mixed.edf", "made", spectrum="Resp")
    assert figure(page, 0)["top"] == 16
    page.select_option("#spectrum-channel", "SpO2")
    note = page.locator("#spectrum-note")
    page.wait_for_function("() => document.querySelector('#spectrum-note').textContent !== ''")
    assert note.text_content() == "1 samples per second are too few for 2 s: choose 4 s."
    # What is shown is never that of another channel.
    page.wait_for_function(
        """() => !document.querySelector("#spectrogram .js-plotly-plot").data.length"""
    )
    page.select_option("#spectrum-window", "4")
    page.wait_for_function(
        """() => document.querySelector("#spectrogram .js-plotly-plot").data[0]?.name === "SpO2" """
    )
    assert note.text_content() == ""
    assert state(page, "spectrum_window") == 4


def test_a_channel_that_a_montage_made_has_none(viewer: Viewer, page: Page) -> None:
    open_recording(
        page, viewer.url, "referential.edf", "made", montage="double_banana", spectrum="Fp1-F7"
    )
    note = page.locator("#spectrum-note")
    page.wait_for_function("() => document.querySelector('#spectrum-note').textContent !== ''")
    assert "made by the montage" in (note.text_content() or "")
    assert page.locator("#spectrum-body").is_hidden()
    offered = page.locator("#spectrum-channel option").all_text_contents()
    assert offered[:3] == ["off", "Fp1", "Fp2"]
    assert len(offered) == 23
    page.select_option("#spectrum-channel", "Fp1")
    assert figure(page, 0)["name"] == "Fp1"


def test_a_length_that_a_link_brings_is_offered(viewer: Viewer, page: Page) -> None:
    query: dict[str, Any] = {"spectrum": "FP1-F7", "spectrum_window": 0.3}
    open_recording(page, viewer.url, "hour.edf", "made", **query)
    expect(page.locator("#spectrum-window option:checked")).to_have_text("0.3 s")


def test_its_list_stays_while_a_recording_is_described_again(viewer: Viewer, page: Page) -> None:
    """A list that is open closes when its entries are replaced."""
    open_recording(page, viewer.url, "hour.edf", "made")
    kept = page.evaluate(
        """() => {
          const entry = document.querySelector("#spectrum-channel").options[1];
          ranvier.store.set(({ detail }) => ({ detail: { ...detail } }));
          return entry.isConnected;
        }"""
    )
    assert kept
