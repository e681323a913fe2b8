"""What is drawn: the samples as they were recorded, filtered and derived, to the pixel."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page, expect
from scipy import signal

from tests.support.browser import (
    Pages,
    after_draw,
    drawn,
    open_recording,
    state,
    values,
    wait_drawn,
    wait_state,
)
from tests.support.page_requests import requests_of
from tests.support.viewed_recordings import (
    CLIP,
    CLIP_PATIENT,
    ELECTRODES,
    GAP,
    GAP_END_S,
    GAP_START_S,
    HOSTILE,
    HOUR,
    MADE,
    MANY,
    MIXED,
    RATE,
    REFERENTIAL,
    samples_of,
)
from tests.support.viewing import Viewer

UNFILTERED: dict[str, Any] = {"hp": None, "lp": None}
INK = """async ([values, x, dx, column]) => {
  const { trace } = await import("/page/ink.js");
  const lines = [];
  const pen = {
    moveTo: (x, y) => lines.push([[x, y]]),
    lineTo: (x, y) => lines.at(-1).push([x, y]),
  };
  const numbers = Float32Array.from(values, (value) => value ?? NaN);
  trace(pen, numbers, 0, numbers.length, x, dx, 0, 1, column);
  return lines;
}"""


def painted(page: Page, left: float, top: float, right: float, bottom: float) -> NDArray[np.int64]:
    """Return how opaque the traces are in a rectangle, in CSS pixels."""
    found = page.evaluate(
        """([left, top, right, bottom]) => {
          const canvas = document.getElementById("layer-traces");
          const ratio = canvas.width / canvas.clientWidth;
          const box = [left, top, right - left, bottom - top];
          const at = box.map((each) => Math.round(each * ratio));
          const { data, width, height } = canvas.getContext("2d").getImageData(...at);
          return [height, width, Array.from(data).filter((_, number) => number % 4 === 3)];
        }""",
        [left, top, right, bottom],
    )
    return np.array(found[2]).reshape(found[0], found[1])


def place(page: Page, key: str, seconds: float, value: float) -> tuple[float, float]:
    """Return where a sample of a channel has to be drawn."""
    x, y = page.evaluate(
        """([key, seconds, value]) => {
          const { frame } = window.ranvier.store.get();
          return [frame.xAt(seconds), frame.yAt(frame.rows.find((row) => row.key === key), value)];
        }""",
        [key, seconds, value],
    )
    return x, y


def is_painted(page: Page, x: float, y: float, within: float = 1.5) -> bool:
    """Whether there is a trace at a place, give or take."""
    found = painted(page, x - within, y - within, x + within, y + within)
    return bool(found.max() > 100)


def frame(page: Page) -> dict[str, Any]:
    """Return the numbers of the frame, and its rows."""
    found: dict[str, Any] = page.evaluate(
        "JSON.parse(JSON.stringify(window.ranvier.store.get().frame))"
    )
    return found


def filtered(
    samples: NDArray[np.float64],
    hp: float | None = None,
    lp: float | None = None,
    notch: float | None = None,
) -> NDArray[np.float64]:
    """Filter a whole recording, forth and back, with SciPy alone."""
    sections = []
    if hp is not None:
        sections.append(signal.butter(2, hp, "highpass", fs=RATE, output="sos"))
    if lp is not None:
        sections.append(signal.butter(2, lp, "lowpass", fs=RATE, output="sos"))
    if notch is not None:
        sections.append(signal.tf2sos(*signal.iirnotch(notch, 30, fs=RATE)))
    whole: NDArray[np.float64] = signal.sosfiltfilt(np.concatenate(sections), samples)
    return whole


def test_the_samples_are_those_of_the_records_api(viewer: Viewer, page: Page) -> None:
    """Each channel of a page of a real recording is what the API says it is."""
    open_recording(page, viewer.url, CLIP, CLIP_PATIENT, t=10, **UNFILTERED)
    with viewer.records.client() as client:
        asked = {"patient_id": CLIP_PATIENT, "recording_id": CLIP, "start": "10", "end": "20"}
        answer = client.get("/eeg", params=asked).json()
    rows = drawn(page)["rows"]
    assert list(rows) == list(answer)
    for key, points in answer.items():
        assert rows[key]["rate_hz"] == RATE
        assert rows[key]["start"] == 10
        expected = [each["value"] for each in points]
        np.testing.assert_allclose(rows[key]["values"], expected, rtol=1e-6, atol=1e-5)


def test_filters_are_those_of_scipy(viewer: Viewer, page: Page) -> None:
    """A page in the middle is filtered as if the whole recording had been: edges do not ring."""
    open_recording(page, viewer.url, REFERENTIAL, MADE, t=60, **UNFILTERED)
    change = "filters => ranvier.actions.change(filters)"
    for hp, lp, notch in (
        *((1.0, 70.0, None), (0.5, 35.0, 50.0)),
        *((None, 15.0, None), (None, None, 50.0)),
    ):
        filters = {"hp": hp, "lp": lp, "notch": notch}
        after_draw(page, partial(page.evaluate, change, filters))
        rows = drawn(page)["rows"]
        for key in ("Fp1", "O2"):
            whole = filtered(samples_of(REFERENTIAL, key), **filters)
            np.testing.assert_allclose(
                rows[key]["values"], whole[60 * RATE : 70 * RATE], rtol=1e-5, atol=2e-3
            )


def test_montages_are_differences_of_electrodes(viewer: Viewer, page: Page) -> None:
    """The double banana, the average reference, and the ECG that follows as recorded."""
    open_recording(page, viewer.url, REFERENTIAL, MADE, t=20, montage="double_banana", **UNFILTERED)
    span = slice(20 * RATE, 30 * RATE)
    rows = drawn(page)["rows"]
    assert len(rows) == 19
    for key in ("Fp1-F7", "T7-P7", "Cz-Pz", "P8-O2"):
        first, second = (samples_of(REFERENTIAL, name) for name in key.split("-"))
        np.testing.assert_allclose(rows[key]["values"], (first - second)[span], atol=1e-3)
    ecg = 1000 * samples_of(REFERENTIAL, "ECG")[span]  # in millivolts there
    np.testing.assert_allclose(rows["ECG"]["values"], ecg, atol=1e-2)
    after_draw(page, lambda: page.locator("#montage").select_option(label="Average reference"))
    wait_state(page, "state.frame.rows[0].key === 'Fp1-Av'")
    mean = np.mean([samples_of(REFERENTIAL, name) for name in ELECTRODES], axis=0)
    expected = (samples_of(REFERENTIAL, "C3") - mean)[span]
    np.testing.assert_allclose(values(page, "C3-Av"), expected, atol=1e-3)


def test_a_montage_that_cannot_be_made_is_told(viewer: Viewer, page: Page) -> None:
    """A link asks for one that there is not: the channels are shown as recorded."""
    open_recording(page, viewer.url, MIXED, MADE, montage="nonsense")
    expect(page.locator("#notice")).to_contain_text("nonsense")
    assert "F3-C3" in drawn(page)["rows"]
    page.get_by_role("button", name="As recorded").click()
    expect(page.locator("#notice")).to_be_empty()


def test_a_gap_is_drawn_as_a_gap(viewer: Viewer, page: Page) -> None:
    """No line leads through it, and what lies under it says so; beside it there are traces."""
    open_recording(page, viewer.url, GAP, MADE, t=16, w=15)
    about = frame(page)
    per_second = (about["right"] - about["left"]) / 15
    left = about["left"] + (GAP_START_S - 16) * per_second
    right = about["left"] + (GAP_END_S - 16) * per_second
    top, bottom = about["top"], about["bottom"]
    assert painted(page, left + 2, top, right - 2, bottom).max() == 0
    assert painted(page, about["left"], top, left - 2, bottom).max() == 255
    assert painted(page, right + 2, top, about["right"], bottom).max() == 255
    hatched = page.evaluate(
        """([x, y]) => [...document.getElementById("layer-under").getContext("2d")
          .getImageData(x, y, 1, 1).data]""",
        [int((left + right) / 2), int((top + bottom) / 2)],
    )
    assert hatched[3] == 255
    found = values(page, "FP1-F7")
    times = 16 + np.arange(len(found)) / RATE
    np.testing.assert_array_equal(np.isnan(found), (times >= GAP_START_S) & (times < GAP_END_S))


def test_a_page_within_a_gap_says_where_it_goes_on(viewer: Viewer, page: Page) -> None:
    """It is no error and no empty screen, and a click leads to the next samples."""
    open_recording(page, viewer.url, GAP, MADE, t=21, w=5)
    notice = page.locator("#notice")
    expect(notice).to_contain_text("Nothing was recorded from 0:00:20 to 0:00:28")
    notice.get_by_role("button", name="Go to the next samples").click()
    wait_drawn(page, GAP_END_S)
    expect(notice).to_be_empty()
    assert not np.isnan(values(page, "FP1-F7")).any()


def test_each_rate_has_its_own_samples_at_the_right_times(viewer: Viewer, page: Page) -> None:
    """512, 256, 32 Hz and 1 Hz side by side, each sample where its time is."""
    open_recording(page, viewer.url, MIXED, MADE, t=10, colours="plain", **UNFILTERED)
    rows = drawn(page)["rows"]
    rates = {"F3-C3": 256, "EMG chin": 512, "Resp": 32, "SpO2": 1}
    for key, rate in rates.items():
        assert rows[key]["rate_hz"] == rate
        expected = samples_of(MIXED, key)[10 * rate : 20 * rate]
        np.testing.assert_allclose(rows[key]["values"], expected, atol=1e-3)
    for key in ("Resp", "SpO2"):
        for second in range(11, 20):
            value = samples_of(MIXED, key)[second * rates[key]]
            assert is_painted(page, *place(page, key, second, value)), (key, second)
    labels = {row["key"]: (row["note"], row["auto"]) for row in frame(page)["rows"]}
    assert labels["SpO2"] == ("auto, %, 1 Hz", True)
    assert labels["Resp"] == ("32 Hz", False)
    assert labels["F3-C3"] == ("", False)
    # The line of the slowest reaches the edge: it leads to the sample beyond.
    edge = frame(page)["right"]
    low, high = (samples_of(MIXED, "SpO2")[second] for second in (19, 20))
    _, y = place(page, "SpO2", 20, 0.02 * low + 0.98 * high)
    assert painted(page, edge - 4, y - 3, edge - 1, y + 3).max() > 100


def test_filters_that_do_not_fit_a_channel_are_left_out(viewer: Viewer, page: Page) -> None:
    """A low pass above half a channel's rate, and any filter of what is no voltage."""
    asked = requests_of(page, "/eeg?")
    open_recording(page, viewer.url, MIXED, MADE, hp=1, lp=70, notch=50)
    wait_state(page, "!state.loading")
    first = {re.search(r"group=(\d+)", url)[1]: url for url in asked[:4]}  # type: ignore[index]
    assert len(first) == 4
    by_filters = sorted(tuple(re.findall(r"(hp|lp|notch)=", url)) for url in first.values())
    assert by_filters == [(), ("hp",), ("hp", "lp", "notch"), ("hp", "lp", "notch")]
    assert state(page, "problem") is None


@pytest.mark.parametrize("size", [(1600, 1000), (3840, 2160)], ids=str)
def test_a_spike_of_one_sample_is_seen_on_a_long_page(
    viewer: Viewer, pages: Pages, size: tuple[int, int]
) -> None:
    """60 s on one page: several samples share a column, and the highest is still drawn."""
    name = f"spike-{size[0]}"
    labels = [f"C{number}" for number in range(1, 25)]
    samples = np.random.default_rng(1).normal(0, 3, (24, 60 * RATE))
    samples[11, 7001] = 90.0
    post(viewer, name, samples.tolist(), 0, 60, labels)
    page = pages.open(*size)
    open_recording(page, viewer.url, name, MADE, t=0, w=60, **UNFILTERED)
    assert len(values(page, "C12")) < 60 * RATE
    x, y = place(page, "C12", 7001 / RATE, 90.0)
    _, base = place(page, "C12", 7001 / RATE, 0.0)
    column = painted(page, x - 2, min(y, base), x + 3, max(y, base)).max(axis=1)
    assert (column > 100).all()
    assert not is_painted(page, x + 30, y)


def post(
    viewer: Viewer,
    recording: str,
    samples: list[list[float]],
    start: float,
    end: float,
    labels: list[str],
) -> None:
    """Store a stretch of a live recording."""
    chunk = {
        "patient_id": MADE,
        "recording_id": recording,
        "channels": labels,
        "start": start,
        "end": end,
        "samples": samples,
    }
    with viewer.records.client() as client:
        client.post("/ingest", json=chunk).raise_for_status()


def test_a_sample_that_stands_alone_is_drawn(viewer: Viewer, page: Page) -> None:
    """Between two gaps there is one sample, and it is a dot, on a short page and a long one."""
    for start, count in ((0, 2 * RATE), (3, 1), (4, 2 * RATE)):
        some = np.full((2, count), 5.0).tolist()
        post(viewer, "alone", some, start, start + count / RATE, ["C3", "C4"])
    open_recording(page, viewer.url, "alone", MADE, t=0, w=5, **UNFILTERED)
    for window in (5, 60):
        page.evaluate("window => ranvier.actions.setWindow(window)", window)
        wait_drawn(page, 0, window)
        x, y = place(page, "C3", 3, 5.0)
        assert is_painted(page, x, y)
        for beside in (2.5, 3.5):
            assert not is_painted(page, place(page, "C3", beside, 0)[0], y)


def test_a_pen_is_led_through_every_extreme(viewer: Viewer, page: Page) -> None:
    """The drawing itself, on a pen that writes down: lines, columns, gaps and single samples."""
    page.goto(viewer.url)

    def ink(samples: list[float | None], x: float, dx: float) -> list[list[list[float]]]:
        lines: list[list[list[float]]] = page.evaluate(INK, [samples, x, dx, 1])
        return lines

    assert ink([1, 2, None, 4, 5], 10, 2) == [[[10, 1], [12, 2]], [[16, 4], [18, 5]]]
    assert ink([None, 3, None], 0, 2) == [[[2, 3]], [[1, 3], [3, 3]]]
    assert ink([], 0, 2) == []
    # Four samples share a column: lowest and highest, in the order of time.
    assert ink([0, 9, 1, 2, 5, 4, -3, 4], 0, 0.25) == [[[0.5, 0], [0.5, 9], [1.5, 5], [1.5, -3]]]
    assert ink([7, 7, 7, 7, None, None, 1, 2, 2, 2, 2, 2], 0, 0.25) == [
        [[0.5, 7]],
        [[-0.5, 7], [1.5, 7]],
        [[1.5, 1], [1.5, 2], [2.5, 2]],
    ]
    # A page that begins between two columns; no sample is lost at the seam.
    found = ink([float(number) for number in range(40)], 0.6, 0.1)
    heights = [y for line in found for _, y in line]
    assert heights == sorted(heights)
    assert (heights[0], heights[-1]) == (0, 39)
    assert {x for line in found for x, _ in line} == {0.5, 1.5, 2.5, 3.5, 4.5}


def test_128_channels_on_a_large_screen(viewer: Viewer, pages: Pages) -> None:
    """All are drawn and named, each where it belongs."""
    page = pages.open(3840, 2160)
    open_recording(page, viewer.url, MANY, MADE, t=10, w=10, scale="row", sensitivity=300)
    rows = drawn(page)["rows"]
    assert len(rows) == 128
    for key in ("E1", "E64", "E128"):
        for second in (2.0, 5.5, 8.25):
            value = float(rows[key]["values"][int(second * RATE)])
            assert is_painted(page, *place(page, key, 10 + second, value)), (key, second)


def test_scale_polarity_gain_order_and_hidden(viewer: Viewer, page: Page) -> None:
    """Each does to the drawing what it says."""
    keys = ["F4-C4", "F3-C3"]
    open_recording(
        page,
        viewer.url,
        MIXED,
        MADE,
        t=10,
        sensitivity=20,
        order=keys,
        hidden=["C3-P3", "SpO2"],
        gain="2*F3-C3",
        **UNFILTERED,
    )
    about = frame(page)
    assert [row["key"] for row in about["rows"]] == [*keys, "C4-P4", "EMG chin", "Resp"]
    px_per_mm = 96 / 25.4
    assert about["rows"][0]["uvPerPx"] == pytest.approx(20 / px_per_mm)
    assert about["rows"][1]["uvPerPx"] == pytest.approx(20 / px_per_mm / 2)
    value = float(values(page, "F4-C4")[300])
    at = 10 + 300 / RATE
    x, y = place(page, "F4-C4", at, value)
    middle = about["rows"][0]["middle"]
    assert np.sign(y - middle) == np.sign(value)  # negative is up
    assert is_painted(page, x, y)
    after_draw(page, lambda: page.evaluate("ranvier.actions.change({ polarity: 'down' })"))
    x, turned = place(page, "F4-C4", at, value)
    assert turned == pytest.approx(2 * middle - y)
    assert is_painted(page, x, turned)
    change = "ranvier.actions.change({ scale: 'row', sensitivity: 100 })"
    after_draw(page, lambda: page.evaluate(change))
    row = frame(page)["rows"][0]
    assert row["uvPerPx"] == pytest.approx(100 / row["height"])


def test_channels_that_are_hidden_are_not_loaded(viewer: Viewer, page: Page) -> None:
    """What is asked for is what is shown; shown again, it is there again."""
    open_recording(page, viewer.url, MIXED, MADE, hidden=["C3-P3", "Resp"])
    rows = drawn(page)["rows"]
    assert set(rows) == {"F3-C3", "F4-C4", "C4-P4", "EMG chin", "SpO2"}
    held = page.evaluate(
        "ranvier.store.get().pages.groups.flatMap(g => g.channels.map(c => c.key))"
    )
    assert set(held) == set(rows)
    page.evaluate("ranvier.actions.change({ hidden: [] })")
    page.wait_for_function("() => ranvier.drawn.rows.length === 7")
    page.evaluate("ranvier.actions.change({ hidden: ranvier.store.get().curves.map(c => c.key) })")
    expect(page.locator("#notice")).to_contain_text("All channels are hidden")
    page.get_by_role("button", name="Show all").click()
    page.wait_for_function("() => ranvier.drawn.rows.length === 7")


def test_labels_of_a_stranger_stay_text(viewer: Viewer, page: Page) -> None:
    """Markup in a label is drawn and read out as it stands."""
    open_recording(page, viewer.url, HOSTILE, MADE)
    said = page.locator("#layer-traces").get_attribute("aria-label")
    assert said is not None
    assert "<b>F3</b>" in said
    assert page.evaluate("window.hacked") is None


def test_the_picture_is_described(viewer: Viewer, page: Page) -> None:
    """Those who do not see it are told recording, time, window and channels."""
    open_recording(page, viewer.url, HOUR, MADE, t=20)
    canvas = page.locator("#layer-traces")
    expect(canvas).to_have_attribute("role", "img")
    said = canvas.get_attribute("aria-label")
    assert said is not None
    assert said.startswith("hour.edf, 0:00:20 to 0:00:30, 10 s window, 23 channels: FP1-F7, ")
    expect(page.locator("#notice")).to_have_attribute("role", "status")


def test_sides_and_types_are_told_from_labels(viewer: Viewer, page: Page) -> None:
    """Odd is left, even is right, and an ear as reference does not count."""
    page.goto(viewer.url)
    found = page.evaluate(
        """async (labels) => {
          const { sideOf, typeOf } = await import("/page/curves.js");
          return labels.map((label) => [sideOf(label), typeOf({ label, unit: "uV" })]);
        }""",
        ["FP1-F7", "EEG C4-A1", "FZ-CZ", "C3-CZ", "FT9-FT10", "O2", "T8-P8", "EMG chin", "ECG II"],
    )
    assert found == [
        ["left", "eeg"],
        ["right", "eeg"],
        ["middle", "eeg"],
        ["left", "eeg"],
        ["middle", "eeg"],
        ["right", "eeg"],
        ["right", "eeg"],
        ["none", "emg"],
        ["none", "ecg"],
    ]


def test_the_window_may_be_resized(viewer: Viewer, page: Page) -> None:
    """The canvases take the size that there is, and what is drawn stays."""
    open_recording(page, viewer.url, HOUR, MADE, t=20)
    after_draw(page, lambda: page.set_viewport_size({"width": 1280, "height": 720}))
    wait_state(page, "state.frame.width < 1100")
    sizes = page.evaluate(
        """[...document.querySelectorAll("#traces canvas")].map((each) =>
          [each.width, each.height, each.clientWidth, each.clientHeight])"""
    )
    assert len(sizes) == 3
    assert all(width == shown and height == seen for width, height, shown, seen in sizes)
    assert len(drawn(page)["rows"]) == 23


def test_pixels_of_a_fine_screen_are_used(viewer: Viewer, pages: Pages) -> None:
    """Where a CSS pixel is two of the screen, the canvas has both."""
    page = pages.open(1280, 720, device_scale_factor=2)
    open_recording(page, viewer.url, HOUR, MADE, t=20, colours="plain", **UNFILTERED)
    canvas = page.evaluate(
        "(() => { const c = document.getElementById('layer-traces');"
        " return [c.width, c.clientWidth] })()"
    )
    assert canvas[0] == 2 * canvas[1]
    value = float(values(page, "F3-C3")[500])
    assert is_painted(page, *place(page, "F3-C3", 20 + 500 / RATE, value))


# A device whose clock runs late: by a little, then by far more than a sample, with two gaps.
SHIFTS_US = [0, 1500, 3000, 3000, 5500, 8500, 40_000, 41_500, 43_000, 90_000]
HELD_S = [0, 4, 8, 12, 16, 20, 24, 29, 33, 45]
PIECE_S = 4


def drifting(viewer: Viewer, name: str) -> None:
    """Record a ramp, with a spike in each stretch, by a clock that drifts."""
    channel = {"label": "A", "unit": "uV", "physical_min": -3276.8, "physical_max": 3276.7}
    channel |= {"digital_min": -32768, "digital_max": 32767}
    group = {"rate_hz": RATE, "channels": [channel]}
    declared = {"patient_id": MADE, "recording_id": name, "groups": [group]}
    asked: dict[str, Any] = {"patient_id": MADE}
    with viewer.records.client() as client:
        client.post("/recordings", json=declared).raise_for_status()
        for start, shift_us in zip(HELD_S, SHIFTS_US, strict=True):
            stored = np.arange(start * RATE, (start + PIECE_S) * RATE).astype("<i2")
            stored[2 * RATE] = 32_000
            client.post(
                f"/recordings/{name}/chunks",
                params=asked | {"start_sample": start * RATE, "shift_us": shift_us},
                content=stored.tobytes(),
                headers={"content-type": "application/octet-stream"},
            ).raise_for_status()


def test_samples_lie_where_a_drifting_clock_took_them(viewer: Viewer, page: Page) -> None:
    """What is drawn, read out and put into figures is timed as the API says it is."""
    name = "drifting"
    drifting(viewer, name)
    open_recording(page, viewer.url, name, MADE, t=20, w=15, **UNFILTERED)
    wait_state(page, "state.pages.start === 20 && !state.loading")
    with viewer.records.client() as client:
        window: dict[str, Any] = {"patient_id": MADE, "recording_id": name, "start": 19, "end": 36}
        points = client.get("/eeg", params=window).json()["A"]
    truth = {each["timestamp"]: each["value"] for each in points if each["value"] is not None}
    row = page.evaluate(
        """() => {
          const [{ times, values, start }] = ranvier.drawn.rows;
          return { start, times: [...times], values: [...values].map((v) => (v === v ? v : null)) };
        }"""
    )
    assert row["start"] == row["times"][0]
    shown = {t: v for t, v in zip(row["times"], row["values"], strict=True) if v is not None}
    inside = {t: v for t, v in truth.items() if 20 <= t < 35}
    # Also those whose places on the grid are not on the page.
    np.testing.assert_allclose(sorted(shown), sorted(inside), rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        [shown[t] for t in sorted(shown)], [inside[t] for t in sorted(inside)], rtol=0, atol=1e-3
    )
    rng = np.random.default_rng(5)
    instants = [float(each) for each in rng.uniform(20, 35, 300)]
    read = page.evaluate(
        """async (instants) => {
          const { sampleAt } = await import("/page/rows.js");
          return instants.map((each) => sampleAt(ranvier.store.get().pages, "A", each));
        }""",
        instants,
    )
    times = np.array(sorted(truth))
    for instant, sample in zip(instants, read, strict=True):
        nearest = float(times[np.abs(times - instant).argmin()])
        if sample is None:
            assert abs(nearest - instant) > 0.74 / RATE
            continue
        assert abs(abs(sample["time"] - instant) - abs(nearest - instant)) < 1e-9
        assert sample["value"] == pytest.approx(
            truth[min(truth, key=lambda t: abs(t - sample["time"]))]
        )
    spikes = """() => {
      const [{ times, values }] = ranvier.drawn.rows;
      return [...times].filter((_, at) => values[at] > 3000);
    }"""
    # Of a page of extremes, each stands in its column of pixels.
    page.evaluate("ranvier.actions.setWindow(60)")
    page.evaluate("ranvier.actions.toStart()")
    wait_drawn(page, 0, 60)
    found = page.evaluate(spikes)
    expected = [start + 2 + shift / 1e6 for start, shift in zip(HELD_S, SHIFTS_US, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=60 / 1600)


def test_a_drifting_clock_makes_no_gap(viewer: Viewer, page: Page) -> None:
    """Its stretches are one line; one that jumps by more than half a sample breaks it."""
    page.goto(f"{viewer.url}/")
    every, few = page.evaluate(
        """async () => {
          const { placed } = await import("/page/pieces.js");
          const header = {
            rate: [256, 1], start_sample: 512, num_samples: 1024, shape: [1, 1024],
            pieces: [[512, 256, 0], [768, 256, 1500], [1024, 128, 9000], [1300, 236, 9000]],
            num_pieces: 4, channels: [{ key: "A" }],
          };
          const all = placed(header);
          const few = placed({ ...header, shape: [1, 16] });
          return [all.pieces, few.pieces];
        }"""
    )
    assert [(each["first"], each["stop"]) for each in every] == [
        (0, 256),
        (256, 512),
        (512, 640),
        (788, 1024),
    ]
    assert [each["joined"] for each in every] == [False, True, False, False]
    assert [each["start"] for each in every] == [2, 3.0015, 4.009, 1300 / 256 + 0.009]
    assert [(each["first"], each["stop"]) for each in few] == [(0, 4), (4, 8), (8, 10), (12, 16)]
    assert [each["joined"] for each in few] == [False, True, False, False]
    assert few[1]["start"] == 3 + 0.125 + 0.0015
