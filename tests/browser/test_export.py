"""What is shown, as a file: PNG, SVG, a plotly figure, CSV and EDF."""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyedflib
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Download, Page, Route

from tests.support.browser import Pages, Problems, drawn, open_recording, wait_state
from tests.support.viewing import Viewer

SVG = "{http://www.w3.org/2000/svg}"
CAPTION_PX = 22


def export(page: Page, form: str, folder: Path) -> Path:
    """Choose an entry of the menu, and return the file that is saved."""
    page.wait_for_function("id => !document.getElementById(id).disabled", arg=f"export-{form}")
    page.locator("#export > summary").click()
    with page.expect_download() as waiting:
        page.click(f"#export-{form}")
    download: Download = waiting.value
    path = folder / download.suggested_filename
    download.save_as(path)
    return path


def points(path: str) -> list[NDArray[np.float64]]:
    """Return the lines of a path, each with its points (x, y)."""
    lines = [each for each in path.split("M") if each]
    return [
        np.array([[float(number) for number in point.split()] for point in re.split("L", line)])
        for line in lines
    ]


def frame(page: Page) -> dict[str, Any]:
    """Return the geometry of the drawing."""
    found: dict[str, Any] = page.evaluate(
        "JSON.parse(JSON.stringify(window.ranvier.store.get().frame))"
    )
    return found


@pytest.mark.parametrize("ratio", [1, 2])
def test_png_is_the_drawing_with_a_caption(
    viewer: Viewer, pages: Pages, tmp_path: Path, ratio: int
) -> None:
    page = pages.open(1280, 720, device_scale_factor=ratio)
    open_recording(page, viewer.url, "chb01_03_clip.edf", "chb01", t=10)
    wait_state(page, "state.annotations.length === 1")
    path = export(page, "png", tmp_path)
    assert path.name == "chb01_03_clip 0h00m10s 10s.png"
    shown = frame(page)
    with Image.open(path) as image:
        assert image.size == (
            round(shown["width"] * ratio),
            round(shown["height"] * ratio) + CAPTION_PX * ratio,
        )
        pixels = np.asarray(image.convert("RGB")).astype(int)
    left, right = round(shown["left"] * ratio), round(shown["right"] * ratio)
    traces = pixels[: round(shown["bottom"] * ratio), left:right]
    blue = (traces[..., 2] > traces[..., 0] + 60).mean()
    assert blue > 0.02  # the left side
    assert (traces[..., 0] > traces[..., 1] + 10).mean() > 0.1  # the seizure's shade, all over
    caption = pixels[-CAPTION_PX * ratio :]
    assert (caption.sum(axis=2) < 300).sum() > 100 * ratio


def test_svg_holds_a_path_for_each_row_with_the_extremes_that_are_drawn(
    viewer: Viewer, page: Page, tmp_path: Path
) -> None:
    open_recording(page, viewer.url, "chb01_03_clip.edf", "chb01", t=10)
    wait_state(page, "state.annotations.length === 1")
    path = export(page, "svg", tmp_path)
    assert path.name == "chb01_03_clip 0h00m10s 10s.svg"
    assert path.stat().st_size < 1_500_000
    root = ET.parse(path).getroot()
    layers = {group.get("id"): group for group in root.iter(f"{SVG}g")}
    assert list(layers) == ["under", "traces", "over"]
    shown, rows = frame(page), drawn(page)["rows"]
    paths = [
        each
        for each in layers["traces"].iter(f"{SVG}path")
        if each.get("clip-path") and each.get("fill") == "none" and len(each.get("d", "")) > 500
    ]
    assert len(paths) == len(rows) == 23
    for row, each in zip(shown["rows"], paths, strict=True):
        (line,) = points(each.get("d", ""))
        values = rows[row["key"]]["values"]
        ys = row["middle"] + row["sign"] * (values - row["offset"]) / row["uvPerPx"]
        assert abs(line[:, 1].min() - ys.min()) < 0.02
        assert abs(line[:, 1].max() - ys.max()) < 0.02
        assert abs(line[0, 0] - shown["left"]) <= 1
        assert abs(line[-1, 0] - shown["right"]) <= 1
    texts = [text.text for text in root.iter(f"{SVG}text")]
    for row in shown["rows"]:
        assert row["label"] in texts
    caption = texts[-1]
    assert caption == (
        "chb01 chb01_03_clip.edf · 0:00:10, 10 s · high-pass 1 Hz, low-pass 70 Hz · as recorded"
        " · 7 µV/mm · negative up"
    )
    # The seizure is shaded from its onset, which is the page's left edge.
    assert any(each.get("opacity") for each in layers["under"].iter(f"{SVG}path"))


def test_a_minute_of_128_channels_is_an_svg_of_a_sane_size(
    viewer: Viewer, page: Page, tmp_path: Path
) -> None:
    open_recording(page, viewer.url, "many.edf", "made", w=60)
    path = export(page, "svg", tmp_path)
    # Two million samples, of which a screen shows the extremes of each column.
    assert path.stat().st_size < 8_000_000
    assert len(list(ET.parse(path).iter(f"{SVG}path"))) >= 128


def test_a_gap_breaks_the_line_of_an_svg(viewer: Viewer, page: Page, tmp_path: Path) -> None:
    open_recording(page, viewer.url, "gap.edf", "made", t=15, w=15)
    root = ET.parse(export(page, "svg", tmp_path)).getroot()
    shown = frame(page)
    per_second = (shown["right"] - shown["left"]) / 15
    from_, to = (shown["left"] + (at - 15) * per_second for at in (20, 27.5))
    paths = [
        points(each.get("d", ""))
        for each in root.iter(f"{SVG}path")
        if each.get("clip-path") and len(each.get("d", "")) > 5000
    ]
    assert len(paths) == 6
    for before, after in paths:
        assert abs(before[-1, 0] - from_) < 1.5
        assert abs(after[0, 0] - to) < 1.5


def test_hostile_labels_are_text_in_an_svg(viewer: Viewer, page: Page, tmp_path: Path) -> None:
    open_recording(page, viewer.url, "hostile.edf", "made")
    wait_state(page, "state.annotations.length === 1")
    path = export(page, "svg", tmp_path)
    root = ET.parse(path).getroot()
    assert {each.tag.removeprefix(SVG) for each in root.iter()} <= {
        *("svg", "title", "defs", "clipPath", "g", "path", "text", "rect"),
    }
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"<b>F3</b>", '"><i>x</i>', "F4"} <= set(texts)
    assert not any(name.lower().startswith("on") for each in root.iter() for name in each.attrib)
    assert page.evaluate("window.hacked") is None


def test_a_drawing_of_a_derived_montage_in_the_dark(
    viewer: Viewer, pages: Pages, tmp_path: Path
) -> None:
    page = pages.open(1280, 720, color_scheme="dark")
    open_recording(
        page, viewer.url, "referential.edf", "made", montage="double_banana", t=0.5, notch=50
    )
    path = export(page, "svg", tmp_path)
    assert path.name == "referential 0h00m00.5s 10s.svg"
    root = ET.parse(path).getroot()
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert "Fp1-F7" in texts
    assert "notch 50 Hz" in (texts[-1] or "")
    assert "as recorded" not in (texts[-1] or "")


def test_the_pen_draws_what_a_canvas_draws(viewer: Viewer, page: Page) -> None:
    page.goto(viewer.url)
    made = page.evaluate(
        """async () => {
          const { svgPen, escaped } = await import("/page/svg_pen.js");
          const pen = svgPen(100, 50);
          pen.save();
          pen.translate(10, 20);
          pen.rotate(Math.PI / 2);
          pen.beginPath(); pen.moveTo(0, 0); pen.lineTo(5, 0); pen.lineTo(5, 0.001);
          pen.strokeStyle = "#ff0000"; pen.lineWidth = 2; pen.setLineDash([4, 2]); pen.stroke();
          pen.textAlign = "center"; pen.fillText("t<", 1, 2);
          pen.restore();
          pen.beginPath(); pen.rect(0, 0, 10, 10); pen.clip();
          pen.beginPath(); pen.rect(5, 5, 10, 10); pen.clip();
          pen.globalAlpha = 0.5; pen.fillStyle = "#00ff00"; pen.fillRect(1, 2, 3, 4);
          pen.strokeRect(0, 0, 1, 1);
          pen.clearRect(0, 0, 100, 50);
          return [pen.document('a & "b"'), pen.measureText("mmm").width,
                  escaped("a\\u0000\\ud800<\\u{1f600}"), pen.strokeStyle, pen.lineWidth];
        }"""
    )
    text, width, escaped, style, line = made
    root = ET.fromstring(text)
    assert root.find(f"{SVG}title") is not None
    first, *rest = [each for each in root if each.tag in {f"{SVG}path", f"{SVG}text"}]
    assert first.attrib == {
        "d": "M10 20L10 25",
        "fill": "none",
        "stroke": "#ff0000",
        "stroke-width": "2",
        "stroke-dasharray": "4 2",
    }
    words, box, edge = rest
    assert words.text == "t<"
    assert words.get("text-anchor") == "middle"
    assert words.get("transform") == "matrix(0 1 -1 0 8 21)"
    assert box.get("d") == "M1 2L4 2L4 6L1 6Z"
    assert (box.get("fill"), box.get("opacity")) == ("#00ff00", "0.5")
    clips = {each.get("id"): each for each in root.iter(f"{SVG}clipPath")}
    assert box.get("clip-path") == edge.get("clip-path") == "url(#clip2)"
    assert clips["clip2"].get("clip-path") == "url(#clip1)"
    assert width > 10
    assert escaped == "a\ufffd\ufffd&lt;\U0001f600"
    assert (style, line) == ("#000000", 1)


def test_csv_holds_the_samples_that_the_service_gives(
    viewer: Viewer, page: Page, tmp_path: Path
) -> None:
    open_recording(page, viewer.url, "chb01_03_clip.edf", "chb01", t=10, montage="average")
    path = export(page, "csv", tmp_path)
    assert path.name == "chb01_03_clip 0h00m10s 10s.csv"
    with viewer.records.client() as client:
        asked: dict[str, str | int] = {
            "patient_id": "chb01",
            "start": 10,
            "end": 20,
            "format": "csv",
        }
        answer = client.get("/recordings/chb01_03_clip.edf/export", params=asked)
        asked |= {"recording_id": "chb01_03_clip.edf", "format": "columns", "channels": "FP1-F7"}
        (group,) = client.get("/eeg", params=asked).json()["groups"]
    assert path.read_bytes() == answer.content
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    assert len(rows) == 2560
    (name,) = [each for each in rows[0] if "FP1-F7" in each]
    found = np.array([float(row[name]) for row in rows])
    np.testing.assert_allclose(found, group["values"][0], atol=1e-6)


def test_mixed_rates_are_a_zip_of_csv(viewer: Viewer, page: Page, tmp_path: Path) -> None:
    open_recording(page, viewer.url, "mixed.edf", "made", t=30, w=5)
    path = export(page, "csv", tmp_path)
    assert path.name == "mixed 0h00m30s 5s.zip"
    with zipfile.ZipFile(path) as archive:
        assert len([name for name in archive.namelist() if name.endswith(".csv")]) >= 4


def test_edf_of_a_page_equals_the_clip(
    viewer: Viewer, page: Page, tmp_path: Path, data: Path
) -> None:
    open_recording(page, viewer.url, "chb01_03_clip.edf", "chb01", t=20)
    path = export(page, "edf", tmp_path)
    assert path.name == "chb01_03_clip 0h00m20s 10s.edf"
    with (
        pyedflib.EdfReader(str(path)) as made,
        pyedflib.EdfReader(str(data / "chbmit" / "chb01_03_clip.edf")) as whole,
    ):
        assert made.signals_in_file == whole.signals_in_file == 23
        for number in range(23):
            np.testing.assert_array_equal(
                made.readSignal(number, digital=True),
                whole.readSignal(number, 20 * 256, 10 * 256, digital=True),
            )


def test_what_is_selected_wins_over_the_page(viewer: Viewer, page: Page, tmp_path: Path) -> None:
    open_recording(page, viewer.url, "chb01_03_clip.edf", "chb01", t=10)
    page.evaluate("window.ranvier.store.set({ selection: { start: 12.5, end: 14, keys: [] } })")
    path = export(page, "csv", tmp_path)
    assert path.name == "chb01_03_clip 0h00m12.5s 1.5s.csv"
    assert len(path.read_text().splitlines()) == 1 + 384


def test_a_refusal_is_told(viewer: Viewer, page: Page, problems: Problems) -> None:
    problems.allow("403")
    open_recording(page, viewer.url, "chb01_03_clip.edf", "chb01", t=10)
    said = "this token may not export"

    def refuse(route: Route) -> None:
        body = {"type": "about:blank", "title": "Forbidden", "status": 403, "detail": said}
        route.fulfill(status=403, body=json.dumps(body), content_type="application/problem+json")

    page.route("**/export?*", refuse)
    page.locator("#export > summary").click()
    page.click("#export-edf")
    wait_state(page, "state.problem?.where === 'export'")
    page.wait_for_function(
        "said => document.querySelector('#notice').textContent.includes(said)", arg=said
    )
    # The page itself is as it was.
    assert len(drawn(page)["rows"]) == 23


def test_the_page_as_a_plotly_figure(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, "gap.edf", "made", t=15, w=15)
    page.locator("#export > summary").click()
    page.click("#export-figure")
    found = page.wait_for_function(
        """() => {
          const plot = document.querySelector("#figure-dialog .js-plotly-plot");
          return plot?._fullData?.length ? plot.data.map(trace => ({
            ...trace, x: Array.from(trace.x),
            y: Array.from(trace.y, v => Number.isNaN(v) ? null : v),
            customdata: Array.from(trace.customdata, v => Number.isNaN(v) ? null : v) })) : null;
        }"""
    ).json_value()
    rows = drawn(page)["rows"]
    assert [trace["type"] for trace in found] == ["scatter"] * 6
    for trace, (key, row) in zip(found, rows.items(), strict=True):
        assert trace["name"] == key
        values = np.array([np.nan if v is None else v for v in trace["customdata"]], float)
        # A few samples beside the page are held as well, so that lines reach its edges.
        first = round((row["start"] - trace["x"][0]) * 256)
        assert 0 <= first < 8
        page_values = values[first : first + len(row["values"])]
        np.testing.assert_array_equal(page_values, row["values"])
        assert np.isnan(page_values).sum() == 7.5 * 256
        np.testing.assert_allclose(np.diff(trace["x"]), 1 / 256, rtol=0, atol=1e-9)
        assert not trace["connectgaps"]
    page.keyboard.press("Escape")
    page.wait_for_function("() => !document.querySelector('#figure-dialog')")
