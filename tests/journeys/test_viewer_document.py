"""Everything that the viewer's document promises, once each, in a real browser.

On the clips of CHB-MIT, and on a night of 24 h and 23 channels whose seizures are marked. The parts
have tests of their own in tests/browser.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyedflib
import pytest
import scipy.signal
from PIL import Image
from playwright.sync_api import Page, expect

from tests.support import night
from tests.support.browser import (
    Pages,
    Problems,
    after_draw,
    drawn,
    open_recording,
    state,
    values,
    wait_drawn,
    wait_state,
)
from tests.support.command_line import ranvier
from tests.support.viewed_recordings import CLIP, CLIP_SEIZURE_S, marked_night
from tests.support.viewer_server import ViewerServer
from tests.support.viewing import SteadyRecords, Viewer

HOURS = 24
END_S = 3600 * HOURS
PATIENT, NIGHT = "night", "night.edf"
SEIZURES_S = (2996, 20996, 38996, 56996, 74996)
CACHE_BYTES = 64 * 2**20
# The night is written and ingested within the first test.
pytestmark = pytest.mark.timeout(900)
# The shade under the traces at a time, as [red, green, blue, alpha]; 4 px above the lower edge.
SHADE = """seconds => {
  const { frame } = window.ranvier.store.get();
  const canvas = document.getElementById("layer-under");
  const ratio = canvas.width / frame.width;
  const place = [frame.xAt(seconds), frame.bottom - 4].map((at) => Math.round(at * ratio));
  return [...canvas.getContext("2d").getImageData(...place, 1, 1).data];
}"""
PLACE = """([key, seconds]) => {
  const { frame } = window.ranvier.store.get();
  const box = document.getElementById("layer-over").getBoundingClientRect();
  const row = frame.rows.find((each) => each.key === key);
  return [box.x + frame.xAt(seconds), box.y + row.middle];
}"""
PLOTTED = """id => {
  const traces = document.querySelector(`#${id} .js-plotly-plot`)?.data ?? [];
  return traces.some((trace) => (trace.z ?? trace.y ?? trace.x)?.length > 10);
}"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Iterator[Viewer]:
    """Ingest the clips and the night as people do, and run both services."""
    folder = tmp_path_factory.mktemp("document")
    home = folder / "home"
    environment = {"RANVIER_HOME": str(home)}
    ran = ranvier("ingest", str(data / "chbmit"), "--json", env=environment)
    assert ran.code == 0, ran.err
    path, seizures = marked_night(folder / "files", HOURS)
    assert [onset for onset, _ in seizures] == list(SEIZURES_S)
    names = ("--patient", PATIENT, "--recording-id", NIGHT)
    ran = ranvier("ingest", str(path), *names, "--json", env=environment)
    assert ran.code == 0, ran.err
    path.unlink()
    with SteadyRecords(home) as records, ViewerServer(home, records_url=records.url) as server:
        yield Viewer(home, records, server)


@pytest.fixture
def page(pages: Pages) -> Page:
    """Open a blank page on a small screen."""
    return pages.open(1280, 720)


@pytest.fixture
def shot(pages: Pages, page: Page) -> Callable[[str], Path]:
    """Take pictures that are kept."""
    return lambda name: pages.shot(page, name)


def open_night(page: Page, served: Viewer, **view: Any) -> None:
    open_recording(page, served.url, NIGHT, PATIENT, **view)


def is_red(page: Page, seconds: float) -> bool:
    red, green, blue, alpha = page.evaluate(SHADE, seconds)
    return bool(alpha and red - max(green, blue) > 8)


def choose(page: Page, control: str, label: str) -> None:
    after_draw(page, lambda: page.locator(f"#{control}").select_option(label=label))


def shown(page: Page) -> list[str]:
    """Return the keys of the rows, from the top."""
    found: list[str] = page.evaluate("window.ranvier.store.get().frame.rows.map((row) => row.key)")
    return found


def row_place(page: Page, key: str, seconds: float) -> tuple[float, float]:
    """Return where on the screen the middle of a row is."""
    x, y = page.evaluate(PLACE, [key, seconds])
    return x, y


# --- recordings, links, pages ---------------------------------------------------------------------


def test_the_seizure_of_the_clip_is_two_clicks_away(
    served: Viewer, page: Page, shot: Callable[[str], Path]
) -> None:
    page.goto(served.url)
    row = page.locator(".picker-row", has_text=CLIP)
    for text in ("chbmit", "2076-11-06 14:32", "50 s", "23", "256 Hz", "sealed"):
        expect(row).to_contain_text(text)
    expect(page.locator(".picker-row", has_text=NIGHT)).to_contain_text("24 h")
    shot("picker")
    row.locator("a").click()
    page.locator("#seizures button").click()
    onset, end = CLIP_SEIZURE_S
    wait_drawn(page, onset - 2)
    assert not is_red(page, onset - 0.1)
    assert is_red(page, onset + 0.1)
    shot("seizure")
    page.keyboard.press("5")  # 60 s: the whole clip
    wait_drawn(page, window=60)
    assert [is_red(page, at) for at in (onset - 0.2, onset + 0.2, end - 0.2, end + 0.2)] == [
        *(False, True, True, False)
    ]
    page.go_back()
    expect(row).to_be_visible()


def test_pages_and_places(served: Viewer, page: Page) -> None:
    open_night(page, served)
    for keys, start in (
        (["ArrowRight", "PageDown"], 20),
        (["ArrowLeft"], 10),
        (["Shift+ArrowRight"], 11),
        (["End"], END_S - 10),
        (["ArrowRight"], END_S - 10),
        (["Home"], 0),
    ):
        for key in keys:
            page.keyboard.press(key)
        wait_drawn(page, start)
    for key, seconds in zip("12345", (5, 10, 15, 30, 60), strict=True):
        page.keyboard.press(key)
        wait_drawn(page, 0, seconds)
    choose(page, "window-choice", "10 s")
    slider = page.locator("#slider")
    slider.fill("43200")
    wait_drawn(page, 43200)
    for button, start in (("next", 43210), ("back", 43200), ("last", END_S - 10), ("first", 0)):
        page.locator(f"#{button}").click()
        wait_drawn(page, start)
    page.keyboard.press("g")
    page.keyboard.type("1:00:00")
    page.keyboard.press("Enter")
    wait_drawn(page, 3600)
    page.keyboard.press(" ")
    wait_state(page, "state.playing && state.start >= 3610")
    page.keyboard.press(" ")
    wait_state(page, "!state.playing")


def test_a_link_restores_the_view(served: Viewer, pages: Pages, page: Page) -> None:
    view: dict[str, Any] = {"t": 38990, "w": 15, "montage": "transverse", "hp": 0.5, "lp": 35}
    view |= {"notch": 60, "sensitivity": 10, "hidden": ["FZ-CZ"], "clock": "absolute"}
    open_night(page, served, **view)
    page.locator("#link").click()
    expect(page.locator("#said")).to_contain_text("copied")
    link = page.evaluate("navigator.clipboard.readText()")
    other = pages.open()
    other.goto(link)
    wait_drawn(other, 38990, 15)
    for name in (*("montage", "hp", "lp", "notch", "sensitivity", "hidden", "clock", "patient"),):
        assert state(other, name) == state(page, name), name
    assert state(other, "lp") == 35
    assert shown(other) == shown(page)


def test_a_live_recording_is_followed(served: Viewer, page: Page) -> None:
    with served.records.client() as api:

        def send(start: float, seconds: int) -> None:
            samples = np.sin(np.arange(256 * seconds) / 10)
            chunk = {
                "patient_id": PATIENT,
                "recording_id": "live.edf",
                "channels": ["C3-P3"],
                "start": start,
                "end": start + seconds,
                "samples": [samples.tolist()],
                "unit": "uV",
            }
            assert api.post("/ingest", json=chunk).status_code == 201

        send(0, 4)
        open_recording(page, served.url, "live.edf", PATIENT)
        expect(page.locator("#lamp")).to_have_text("live")
        page.keyboard.press("End")
        for start in range(4, 24, 2):
            send(start, 2)
        wait_state(page, "state.end === 24 && state.following")
        wait_drawn(page, 20)
        page.keyboard.press("Home")
        wait_drawn(page, 0)
        assert not state(page, "following")


# --- what is shown, and how -----------------------------------------------------------------------


def test_sensitivity_channels_and_colours(served: Viewer, page: Page) -> None:
    open_night(page, served, t=60)
    assert shown(page) == list(night.KEYS)
    scale = "window.ranvier.store.get().frame.rows[0].uvPerPx"
    usual = page.evaluate(scale)
    after_draw(page, lambda: page.keyboard.press("-"))
    assert page.evaluate(scale) == pytest.approx(usual * 10 / 7)
    choose(page, "scale", "µV/row")
    choose(page, "sensitivity", "100 µV")
    height = page.evaluate("window.ranvier.store.get().frame.rows[0].height")
    assert page.evaluate(scale) == pytest.approx(100 / height)
    page.locator("#tab-channels").click()
    first = page.locator(".channel-row[data-key='FP1-F7']")
    after_draw(page, lambda: first.locator("[data-act=larger]").click())
    assert page.evaluate(scale) < 100 / height
    after_draw(page, lambda: first.locator("[data-act=down]").click())
    assert shown(page)[:2] == ["F7-T7", "FP1-F7"]
    after_draw(page, lambda: first.locator("[data-act=show]").uncheck())
    assert shown(page) == [key for key in night.KEYS if key != "FP1-F7"]
    after_draw(page, lambda: page.locator("#channels-reset").click())
    after_draw(page, lambda: page.locator("#channels-fit").click())
    assert len(state(page, "gains")) == night.CHANNELS
    for label in ("By type", "None", "By side"):
        choose(page, "colours", label)


def test_montages(served: Viewer, page: Page) -> None:
    open_night(page, served, t=60, hp=None, lp=None)
    recorded = {key: values(page, key) for key in night.KEYS}
    titles = page.locator("#montage option").all_inner_texts()
    assert len(titles) >= 4, titles
    choose(page, "montage", next(title for title in titles if "banana" in title.lower()))
    rows = drawn(page)["rows"]
    assert {"Fp1-F7", "T8-P8", "Cz-Pz"} <= set(rows)
    np.testing.assert_allclose(rows["F7-T7"]["values"], recorded["F7-T7"], atol=1e-3)
    # What no recorded channel is, is put together from those that there are.
    choose(page, "montage", next(title for title in titles if "transverse" in title.lower()))
    fz = recorded["FP1-F3"] - recorded["FP1-F7"]  # (Fp1 - F3) - (Fp1 - F7) = F7 - F3
    np.testing.assert_allclose(values(page, "F7-F3"), fz, atol=1e-3)


def test_filters(served: Viewer, page: Page) -> None:
    open_night(page, served, t=60, hp=None, lp=None)
    raw = values(page, "C3-P3")
    choose(page, "notch", "60 Hz")
    choose(page, "hp", "1 Hz")
    choose(page, "lp", "35 Hz")
    filtered = values(page, "C3-P3")
    assert len(raw) == len(filtered) == 10 * night.RATE
    _, before = scipy.signal.periodogram(raw, night.RATE)
    hertz, after = scipy.signal.periodogram(filtered, night.RATE)
    assert after[hertz > 58].max() < before[hertz > 58].max() / 1e3
    kept = (hertz > 4) & (hertz < 20)
    assert after[kept].sum() == pytest.approx(before[kept].sum(), rel=0.1)
    # Zero-phase: nothing is moved in time.
    band = scipy.signal.butter(4, (4, 20), "bandpass", fs=night.RATE, output="sos")
    slow, quick = (scipy.signal.sosfiltfilt(band, each)[256:-256] for each in (raw, filtered))
    lags = scipy.signal.correlate(slow, quick, "same")
    assert abs(int(lags.argmax()) - len(slow) // 2) <= 1
    after_draw(page, lambda: page.keyboard.press("f"))
    np.testing.assert_array_equal(values(page, "C3-P3"), raw)


def test_looks_and_clock(served: Viewer, page: Page, shot: Callable[[str], Path]) -> None:
    open_night(page, served, t=20990)
    page.wait_for_function(PLOTTED, arg="density")
    shot("light")
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    after_draw(page, lambda: page.keyboard.press("t"))
    assert page.evaluate(background) != light
    shot("dark")
    choose(page, "clock", "Time of day")
    expect(page.locator("#seizures button").nth(1)).to_contain_text("01:49:56")
    expect(page.locator("#title")).to_contain_text("2019-03-04 20:00")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    traces = page.locator("#traces").bounding_box()
    assert traces is not None
    assert traces["height"] >= 0.5 * 720


def test_a_screen_of_4k(served: Viewer, pages: Pages) -> None:
    page = pages.open(3840, 2160)
    open_night(page, served, t=20990, w=30)
    page.wait_for_function(PLOTTED, arg="density")
    wait_state(page, "state.annotations.length === 5")
    width, height = page.evaluate(
        "[document.getElementById('layer-traces').width,"
        " document.getElementById('layer-traces').height]"
    )
    assert width > 3000
    assert height > 0.6 * 2160
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert is_red(page, 20996.5)
    assert not is_red(page, 20995.5)
    pages.shot(page, "4k")


def test_nothing_jumps_while_it_loads(served: Viewer, page: Page) -> None:
    page.add_init_script(
        "window.shift = 0; new PerformanceObserver((list) => {"
        " for (const each of list.getEntries()) window.shift += each.value;"
        " }).observe({ type: 'layout-shift', buffered: true });"
    )
    open_night(page, served)
    page.wait_for_function(PLOTTED, arg="density")
    wait_state(page, "state.annotations.length === 5")
    assert page.evaluate("window.shift") < 0.05


# --- marks ----------------------------------------------------------------------------------------


def test_marks(served: Viewer, page: Page) -> None:
    open_night(page, served)
    buttons = page.locator("#seizures button")
    expect(buttons).to_have_count(len(SEIZURES_S))
    buttons.nth(2).click()
    wait_drawn(page, SEIZURES_S[2] - 2)
    assert is_red(page, SEIZURES_S[2] + 0.1)
    page.keyboard.press("n")
    wait_drawn(page, SEIZURES_S[3] - 2)
    page.keyboard.press("p")
    wait_drawn(page, SEIZURES_S[2] - 2)
    # Added by keys, at the cursor; then another version of it.
    page.mouse.click(*row_place(page, "C3-P3", 39000))
    page.keyboard.press("m")
    page.keyboard.type("head turns")
    page.keyboard.press("Enter")
    row = page.locator("#marks .mark-row", has_text="head turns")
    row.dblclick()
    page.locator("#mark-form [name=text]").fill("head turns left")
    page.locator("#mark-form [name=reason]").fill("seen on video")
    page.keyboard.press("Enter")
    expect(row).to_contain_text("head turns left")
    with served.records.client() as api:
        asked: dict[str, Any] = {"patient_id": PATIENT, "history": True}
        listed = api.get(f"/recordings/{NIGHT}/annotations", params=asked).json()
    made = [each for each in listed if each["text"].startswith("head")]
    assert [(each["version"], each["text"]) for each in made] == [
        (1, "head turns"),
        (2, "head turns left"),
    ]
    assert made[0]["onset"] == pytest.approx(39000, abs=0.05)
    page.locator("#mark-text").fill("video nobody noted")
    expect(page.locator(".mark-row")).to_have_count(0)
    page.locator("#mark-text").fill("head")
    expect(page.locator(".mark-row")).to_have_count(1)


# --- the whole recording, and single channels -----------------------------------------------------


def test_overview_and_spectrogram(served: Viewer, page: Page, shot: Callable[[str], Path]) -> None:
    open_night(page, served, t=20990, spectrum="C3-P3")
    for graph in ("overview", "density", "spectrogram"):
        page.wait_for_function(PLOTTED, arg=graph)
    top = page.evaluate(
        "document.querySelector('#spectrogram .js-plotly-plot').layout.yaxis.range[1]"
    )
    assert top == 70
    shot("spectrogram")
    rows = "document.querySelector('#spectrogram .js-plotly-plot').data[0].z.length"
    before = page.evaluate(rows)
    page.locator("#spectrum-window").select_option(label="4 s")  # twice as many frequencies
    page.wait_for_function(f"before => {rows} > 1.9 * before", arg=before)
    marker = page.locator("#window-marker").bounding_box()
    strip = page.locator("#overview").bounding_box()
    assert marker is not None
    assert strip is not None
    # The marker stands where the page is, and a click on the strip goes there.
    area = page.evaluate(
        "(() => { const { l, w } = document.querySelector('#overview .js-plotly-plot')"
        "._fullLayout._size; return [l, w]; })()"
    )
    left = strip["x"] + area[0]
    assert marker["x"] + marker["width"] / 2 - left == pytest.approx(20995 / END_S * area[1], abs=6)
    after_draw(
        page, lambda: page.mouse.click(left + area[1] * 0.5, strip["y"] + strip["height"] / 2)
    )
    assert state(page, "start") == pytest.approx(END_S / 2, abs=2 * END_S / area[1])


def test_reading_and_measuring(served: Viewer, page: Page) -> None:
    open_night(page, served, t=60, hp=None, lp=None)
    samples = values(page, "C3-P3")
    page.mouse.move(*row_place(page, "C3-P3", 65))
    reading = page.locator("#reading")
    expect(reading).to_contain_text("C3-P3")
    expect(reading).to_contain_text("0:01:0")
    text = page.locator("#reading .reading-value").inner_text().replace("\u2212", "-")
    near = samples[5 * night.RATE - 8 : 5 * night.RATE + 8]
    assert near.min() - 0.1 <= float(text.split()[0]) <= near.max() + 0.1
    page.keyboard.press("c")
    page.mouse.move(*row_place(page, "C3-P3", 62))
    page.mouse.down()
    page.mouse.move(*row_place(page, "C3-P3", 64))
    page.mouse.up()
    measured = page.locator("#measured")
    expect(measured).to_contain_text("ms")
    assert float(measured.inner_text().split()[0]) == pytest.approx(2000, abs=25)
    page.keyboard.press("Escape")


def test_export(served: Viewer, page: Page, tmp_path: Path) -> None:
    open_night(page, served, t=20990)
    files: dict[str, Path] = {}
    for form in ("png", "svg", "csv", "edf"):
        page.wait_for_function("id => !document.getElementById(id).disabled", arg=f"export-{form}")
        page.locator("#export > summary").click()
        with page.expect_download() as waiting:
            page.locator(f"#export-{form}").click()
        files[form] = tmp_path / f"page.{form}"
        waiting.value.save_as(files[form])
    with Image.open(files["png"]) as picture:
        assert picture.width > 800
    assert files["svg"].read_text().startswith(("<?xml", "<svg"))
    with files["csv"].open() as file:
        assert sum(1 for _ in csv.reader(file)) >= 10 * night.RATE
    with pyedflib.EdfReader(str(files["edf"])) as edf:
        assert edf.signals_in_file == night.CHANNELS
        assert edf.file_duration == 10


# --- what goes wrong ------------------------------------------------------------------------------


def test_a_recording_that_is_not_there(served: Viewer, page: Page, problems: Problems) -> None:
    problems.allow("404")
    open_recording(page, served.url, "nothing.edf", PATIENT, wait=False)
    notice = page.locator("#notice")
    expect(notice).to_contain_text("nothing.edf")
    notice.get_by_role("button", name="Recordings").click()
    expect(page.locator(".picker-row", has_text=NIGHT)).to_be_visible()


def test_the_records_service_goes_and_comes_back(
    served: Viewer, page: Page, problems: Problems, shot: Callable[[str], Path]
) -> None:
    problems.allow("50[234]")
    open_night(page, served, t=600)
    served.records.kill()
    try:
        page.keyboard.press("End")  # a place that is not at hand
        expect(page.locator("#notice .notice")).to_be_visible()
        assert drawn(page)["start"] == 600  # the last picture stays
        shot("outage")
    finally:
        served.records.start()
    wait_drawn(page, END_S - 10)
    expect(page.locator("#notice .notice[data-kind=problem]")).to_have_count(0)


# --- a whole night --------------------------------------------------------------------------------


def test_paging_through_the_night(served: Viewer, page: Page) -> None:
    """Every page of 60 s, as fast as a keyboard can; what was overtaken need not be drawn."""
    open_night(page, served, w=60)
    page.wait_for_function(PLOTTED, arg="density")
    pages = END_S // 60
    for number in range(1, pages):
        page.keyboard.press("ArrowRight")
        if number % 15 == 0:  # it answers in between
            wait_drawn(page, number * 60)
    wait_drawn(page, END_S - 60)
    draws = page.evaluate("window.draws")
    assert draws > pages / 20, draws
    tools = page.context.new_cdp_session(page)
    tools.send("HeapProfiler.enable")
    tools.send("HeapProfiler.collectGarbage")
    used = tools.send("Runtime.getHeapUsage")
    held = used["usedSize"] + used.get("backingStorageSize", 0)
    assert held < CACHE_BYTES + 100e6, json.dumps(used)
    # And where one ends up is what is stored there.
    open_night(page, served, t=END_S - 10, hp=None, lp=None)
    with served.records.client() as api:
        asked: dict[str, Any] = {"patient_id": PATIENT, "recording_id": NIGHT}
        asked |= {"start": END_S - 10, "end": END_S, "channels": "C3-P3"}
        points = api.get("/eeg", params=asked).json()["C3-P3"]
    stored = np.array([point["value"] for point in points])
    np.testing.assert_allclose(values(page, "C3-P3")[-len(stored) :], stored, atol=1e-3)
