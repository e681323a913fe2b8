"""Marks: drawn, listed, jumped to, added, edited, voided; what others did meanwhile is met."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import RFC_4122, UUID

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.browser import (
    Pages,
    Problems,
    after_draw,
    drawn,
    open_recording,
    state,
    wait_drawn,
    wait_state,
)
from tests.support.viewed_recordings import (
    CLIP,
    CLIP_PATIENT,
    CLIP_SEIZURE_S,
    GAP,
    HOSTILE,
    HOSTILE_TEXT,
    HOUR,
    HOUR_SEIZURE_S,
    MADE,
    MANY,
    MIXED,
    REFERENTIAL,
)
from tests.support.viewing import Viewer

LIST = "#marks .mark-row"
FORM = "#mark-form"
# Columns of the layer under the traces that are red, in seconds: the first, and after the last.
RED = """
() => {
  const { frame } = window.ranvier.store.get();
  const canvas = document.getElementById("layer-under");
  const ratio = canvas.width / frame.width;
  const pen = canvas.getContext("2d");
  const found = [];
  for (let x = Math.ceil(frame.left); x < frame.right; x += 1) {
    const [r, g, b, a] = pen.getImageData(
      Math.floor(x * ratio), Math.floor((frame.bottom - 4) * ratio), 1, 1).data;
    if (a && r - g > 8 && r - b > 8) found.push(x);
  }
  return found.length
    ? [frame.timeAt(found[0]), frame.timeAt(found.at(-1) + 1), found.length,
      frame.timeAt(frame.left + 1) - frame.start]
    : null;
}
"""
# The colour under the traces at a time and a height between 0 and 1.
COLOUR = """
([seconds, height]) => {
  const { frame } = window.ranvier.store.get();
  const canvas = document.getElementById("layer-under");
  const ratio = canvas.width / frame.width;
  const y = frame.top + height * (frame.bottom - frame.top);
  return [...canvas.getContext("2d")
    .getImageData(Math.round(frame.xAt(seconds) * ratio), Math.round(y * ratio), 1, 1).data];
}
"""


@pytest.fixture
def api(own_servers: Viewer) -> Iterator[httpx.Client]:
    """Return a second client of the records API, to see what the page has done."""
    with own_servers.records.client() as client:
        yield client


def notes(api: httpx.Client, recording: str, history: bool = False) -> list[dict[str, Any]]:
    asked: dict[str, str | bool] = {"patient_id": MADE, "history": history}
    found: list[dict[str, Any]] = api.get(
        f"/recordings/{recording}/annotations", params=asked
    ).json()
    return found


def note(api: httpx.Client, recording: str, onset: float, **members: Any) -> dict[str, Any]:
    body = {"onset": onset, "text": "noted", **members}
    path = f"/recordings/{recording}/annotations"
    answer = api.post(path, params={"patient_id": MADE}, json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def revise(api: httpx.Client, recording: str, one: dict[str, Any], **members: Any) -> None:
    path = f"/recordings/{recording}/annotations/{one['annotation_id']}"
    answer = api.patch(path, params={"patient_id": MADE}, json={"reason": "other", **members})
    assert answer.status_code == 200, answer.text


def field(page: Page, name: str) -> Any:
    return page.locator(f"{FORM} [name={name}]")


def place(page: Page, seconds: float, height: float = 0.5) -> tuple[float, float]:
    """Return where on the screen a time is."""
    box = page.locator("#layer-over").bounding_box()
    assert box is not None
    x, y = page.evaluate(
        """([seconds, height]) => {
          const { frame } = window.ranvier.store.get();
          return [frame.xAt(seconds), frame.top + height * (frame.bottom - frame.top)];
        }""",
        [seconds, height],
    )
    return box["x"] + x, box["y"] + y


def drag(page: Page, start: float, end: float, height: float = 0.5) -> None:
    page.mouse.move(*place(page, start, height))
    page.mouse.down()
    page.mouse.move(*place(page, (start + end) / 2, height))
    page.mouse.move(*place(page, end, height))
    page.mouse.up()


def marked(page: Page, count: int) -> None:
    wait_state(page, f"state.annotations.length === {count}")


# --- drawn ----------------------------------------------------------------------------------------


def test_the_seizure_is_shaded_from_second_10_to_50(
    viewer: Viewer, page: Page, shot: Callable[[str], Path]
) -> None:
    open_recording(page, viewer.url, CLIP, CLIP_PATIENT, w=60)
    page.wait_for_function(RED)
    first, last, count, pixel = page.evaluate(RED)
    onset, end = CLIP_SEIZURE_S
    assert abs(first - onset) <= 1.5 * pixel
    assert abs(last - end) <= 1.5 * pixel
    assert count * pixel == pytest.approx(end - onset, abs=3 * pixel)  # without a hole
    shot("clip-60s")
    # The same on a page that holds its onset only, and on one within.
    page.keyboard.press("2")
    wait_drawn(page, window=10)
    page.locator("#seizures button").click()
    wait_drawn(page, 8, 10)
    first, last, _, pixel = page.evaluate(RED)
    assert abs(first - onset) <= 1.5 * pixel
    assert last == pytest.approx(18, abs=1.5 * pixel)
    after_draw(page, lambda: page.keyboard.press("ArrowRight"))
    first, last, _, pixel = page.evaluate(RED)
    assert first == pytest.approx(18, abs=1.5 * pixel)
    assert last == pytest.approx(28, abs=1.5 * pixel)


def test_marks_of_all_kinds_are_drawn(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, GAP, MADE, w=60)
    marked(page, 3)
    assert [mark["text"] for mark in state(page, "annotations")] == [
        "eyes open",
        "artefact",
        "eyes closed",
    ]
    page.wait_for_function(
        f"() => {{ const c = ({COLOUR})([31, 0.97]); const d = ({COLOUR})([34, 0.97]);"
        " return c.some((value, at) => Math.abs(value - d[at]) > 3); }"
    )
    red, green, blue, _ = page.evaluate(COLOUR, [31, 0.97])
    assert green > red  # a note in the file is teal, not red
    flags = page.evaluate(
        """async () => {
          const { flagsOf } = await import("/page/mark_layer.js");
          const { frame, annotations } = window.ranvier.store.get();
          const pen = document.getElementById("layer-under").getContext("2d");
          return flagsOf(pen, frame, annotations)
            .map(({ label, x, y, width }) => ({ label, x, y, width }));
        }"""
    )
    assert [flag["label"] for flag in flags] == ["eyes open", "artefact", "eyes closed"]
    assert blue > red


def test_flags_do_not_overlap(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, GAP, MADE)
    flags = page.evaluate(
        """async () => {
          const { flagsOf } = await import("/page/mark_layer.js");
          const { frame } = window.ranvier.store.get();
          const pen = document.getElementById("layer-under").getContext("2d");
          const texts = ["short", "a".repeat(10000), "two\\nlines", "\\u202eturned", "e", "f", "g"];
          const marks = Array.from({ length: 60 }, (_, at) => ({ onset: at / 8, duration: null,
            text: texts[at % 7], kind: "note", source: "person", channels: [] }));
          const found = flagsOf(pen, frame, marks);
          return { flags: found, shown: found.filter((flag) => flag.mark).length,
            right: frame.right };
        }"""
    )
    boxes = [(one["x"], one["y"], one["width"], one["label"]) for one in flags["flags"]]
    for number, (x, y, width, label) in enumerate(boxes):
        assert x + width <= flags["right"] + 0.01
        assert "\n" not in label
        assert "\u202e" not in label
        for other_x, other_y, other_width, _ in boxes[number + 1 :]:
            assert y != other_y or x + width <= other_x or other_x + other_width <= x
    assert boxes[-1][3] == f"+{60 - flags['shown']} more"


def test_a_mark_of_some_channels_is_drawn_on_their_rows(own_servers: Viewer, page: Page) -> None:
    open_recording(page, own_servers.url, REFERENTIAL, MADE)
    with own_servers.records.client() as api:
        note(api, REFERENTIAL, 102, duration=4, kind="seizure", channels=["F7", "ECG"])
    page.reload()
    wait_drawn(page)
    page.locator("#seizures button").click()
    wait_drawn(page, 100)
    curves = [curve["label"] for curve in state(page, "curves")]
    marked_rows = []
    for number, label in enumerate(curves):
        red, green, _, alpha = page.evaluate(COLOUR, [104.1, (number + 0.5) / len(curves)])
        if alpha and red - green > 15:
            marked_rows.append(label)
    assert marked_rows == ["F7", "ECG"]


def test_a_mark_made_in_a_montage_is_one_of_its_electrodes(
    own_servers: Viewer, api: httpx.Client, page: Page
) -> None:
    open_recording(page, own_servers.url, REFERENTIAL, MADE, t=60, montage="double_banana")
    labels = [curve["label"] for curve in state(page, "curves")]
    number = next(at for at, label in enumerate(labels) if label.upper() == "F7-T7")
    height = (number + 0.5) / len(labels)
    page.keyboard.down("Shift")
    drag(page, 62, 64, height)
    page.keyboard.up("Shift")
    page.keyboard.press("m")
    page.keyboard.type("on one derivation")
    page.keyboard.press("Enter")
    expect(page.locator(LIST, has_text="on one derivation")).to_be_visible()
    (stored,) = [one for one in notes(api, REFERENTIAL) if one["text"] == "on one derivation"]
    assert stored["channels"] == ["F7", "T7"]
    page.keyboard.press("Escape")
    about = """async () => {
      const { rowsOf } = await import("/page/mark_channels.js");
      const { frame, annotations, selected } = window.ranvier.store.get();
      const mark = annotations.find((one) => one.annotation_id === selected);
      const alone = { ...mark, channels: ["T7"] };
      const labels = (one) => rowsOf(one, frame.rows).map((row) => row.label.toUpperCase());
      return [mark, alone].map(labels);
    }"""
    wait_state(page, f"state.selected === '{stored['annotation_id']}'")
    assert page.evaluate(about) == [["F7-T7"], ["F7-T7", "T7-P7"]]


# --- listed, filtered, jumped to ------------------------------------------------------------------


def test_jumps(own_servers: Viewer, api: httpx.Client, page: Page) -> None:
    for onset in (100, 1000, 1000, 3590):
        note(api, HOUR, onset, duration=5, kind="seizure", text=f"at {onset}")
    note(api, HOUR, 500, text="blink")
    open_recording(page, own_servers.url, HOUR, MADE)
    buttons = page.locator("#seizures button")
    expect(buttons).to_have_count(5)
    expect(buttons).to_have_text(["1 0:01:40", "2 0:16:40", "3 0:16:40", "4 0:49:56", "5 0:59:50"])
    buttons.nth(3).click()
    wait_drawn(page, HOUR_SEIZURE_S[0] - 2)
    expect(buttons.nth(3)).to_have_attribute("aria-current", "true")
    page.keyboard.press("n")
    wait_drawn(page, 3588)
    page.keyboard.press("n")  # there is none after it
    expect(page.locator("#said")).to_have_text("no seizure after this one")
    for start in (2994, 998, 998, 98, 98):
        page.keyboard.press("p")
        wait_drawn(page, start)
    chosen = state(page, "selected")
    after_draw(page, lambda: page.keyboard.press("Home"))
    page.keyboard.press("n")  # the selected one is not on the page: from its start on
    wait_drawn(page, 98)
    assert state(page, "selected") == chosen
    # Both of those at 1,000 s are reached, one after the other.
    page.keyboard.press("n")
    wait_drawn(page, 998)
    second = state(page, "selected")
    page.keyboard.press("n")
    wait_state(page, f"state.selected !== '{second}'")
    assert state(page, "start") == 998
    page.keyboard.press("n")
    wait_drawn(page, 2994)
    # With a filter, n and p go through what it lets through, whatever its kind.
    page.locator("#mark-text").fill("blink")
    expect(page.locator(LIST)).to_have_count(1)
    page.locator("#traces").click(position={"x": 300, "y": 200})
    page.keyboard.press("p")
    wait_drawn(page, 498)
    page.locator("#mark-text").fill("")
    expect(page.locator(LIST)).to_have_count(6)


def test_many_seizures_become_a_choice(own_servers: Viewer, page: Page) -> None:
    with own_servers.records.client() as api:
        for number in range(13):
            note(api, MANY, number * 4 + 1, duration=1, kind="seizure", text=f"number {number}")
    open_recording(page, own_servers.url, MANY, MADE)
    choice = page.locator("#seizures select")
    expect(choice.locator("option")).to_have_count(14)
    choice.select_option(label="5: 0:00:17")
    wait_drawn(page, 15)
    page.locator("#seizures button").last.click()
    wait_drawn(page, 19)
    page.locator("#seizures button").first.click()
    wait_drawn(page, 15)
    expect(choice.locator("option:checked")).to_have_text("5: 0:00:17")


def test_the_list(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, GAP, MADE)
    rows = page.locator(LIST)
    expect(rows).to_have_count(3)
    expect(rows.nth(1)).to_contain_text("0:00:30")
    expect(rows.nth(1)).to_contain_text("2 s")
    expect(rows.nth(1)).to_contain_text("artefact")
    rows.nth(1).click()
    wait_drawn(page, 28)
    expect(rows.nth(1)).to_have_attribute("aria-selected", "true")
    page.locator("#mark-text").fill("EYES")
    expect(rows).to_have_count(2)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(rows.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    wait_drawn(page, 48)
    page.locator("#mark-text").fill("nothing of the kind")
    expect(page.locator(".marks-empty")).to_have_text("No mark matches the filter.")


def test_clock_times(viewer: Viewer, page: Page) -> None:
    open_recording(page, viewer.url, CLIP, CLIP_PATIENT, clock="absolute")
    expect(page.locator("#seizures button")).to_have_text("1 14:33:00")
    expect(page.locator(f"{LIST} .mark-time")).to_have_text("14:33:00")


# --- added, edited, voided ------------------------------------------------------------------------


def test_a_mark_is_added_revised_and_voided(
    own_servers: Viewer, api: httpx.Client, page: Page, shot: Callable[[str], Path]
) -> None:
    open_recording(page, own_servers.url, REFERENTIAL, MADE, t=20)
    before = len(notes(api, REFERENTIAL))
    marked(page, before)
    drag(page, 22.5, 24.5)
    chosen = state(page, "selection")
    assert chosen["start"] == pytest.approx(22.5, abs=0.02)
    assert chosen["end"] == pytest.approx(24.5, abs=0.02)
    page.keyboard.press("m")
    expect(field(page, "text")).to_be_focused()
    page.keyboard.type("sharp waves")
    shot("form")
    page.keyboard.press("Enter")
    expect(page.locator(FORM)).to_be_hidden()
    expect(page.locator("#said")).to_contain_text("Saved: note at 0:00:2")
    marked(page, before + 1)
    (stored,) = [one for one in notes(api, REFERENTIAL) if one["text"] == "sharp waves"]
    assert (stored["kind"], stored["source"], stored["version"]) == ("note", "person", 1)
    assert stored["onset"] == chosen["start"]
    assert stored["duration"] == pytest.approx(chosen["end"] - chosen["start"], abs=1e-9)
    assert stored["channels"] == []
    assert state(page, "selected") == stored["annotation_id"]
    assert state(page, "selection") is None

    # Edited: only the text; the times stay to the microsecond.
    row = page.locator(LIST, has_text="sharp waves")
    row.locator("button").click()
    field(page, "text").fill("sharp waves, F7")
    page.keyboard.press("Enter")
    expect(page.locator(FORM)).to_be_visible()  # without a reason it is not taken
    field(page, "reason").fill("which electrode")
    page.keyboard.press("Enter")
    expect(page.locator(FORM)).to_be_hidden()
    expect(page.locator(LIST, has_text="sharp waves, F7")).to_contain_text("v2")
    (now,) = [one for one in notes(api, REFERENTIAL) if one["text"] == "sharp waves, F7"]
    changed = {"text", "version", "reason", "created_at"}
    assert {name for name in now if now[name] != stored[name]} == changed

    # Edited again: when, and what it is.
    page.locator(LIST, has_text="sharp waves, F7").dblclick()
    field(page, "kind").select_option("seizure")
    field(page, "onset").fill("0:00:22")
    field(page, "end").fill("25.25")
    expect(field(page, "duration")).to_have_value("3.25")
    field(page, "reason").fill("begins earlier")
    page.locator(f"{FORM} button.primary").click()
    expect(page.locator("#seizures button", has_text="0:00:22")).to_be_visible()
    row = page.locator(LIST, has_text="sharp waves, F7")
    row.focus()
    page.keyboard.press("e")
    past = page.locator(f"{FORM} .mark-past")
    expect(past.locator("summary")).to_have_text("Versions (3)")
    past.locator("summary").click()
    items = past.locator("li")
    expect(items.nth(0)).to_contain_text("seizure, at 0:00:22.000, 3.25 s")
    expect(items.nth(0)).to_contain_text("Reason: begins earlier")
    expect(items.nth(1)).to_contain_text("“sharp waves, F7”")
    expect(items.nth(2)).to_contain_text("“sharp waves”")
    shot("history")

    # Voided: it is gone from the list, and kept in the history.
    page.locator(f"{FORM} button.danger").click()
    expect(page.locator(FORM)).to_be_visible()
    field(page, "reason").fill("an artefact")
    page.locator(f"{FORM} button.danger").click()
    expect(page.locator(FORM)).to_be_hidden()
    marked(page, before)
    history = [
        (one["version"], one["text"], one["onset"], one["voided"], one["reason"])
        for one in notes(api, REFERENTIAL, history=True)
        if one["annotation_id"] == stored["annotation_id"]
    ]
    assert history == [
        (1, "sharp waves", stored["onset"], False, None),
        (2, "sharp waves, F7", stored["onset"], False, "which electrode"),
        (3, "sharp waves, F7", 22.0, False, "begins earlier"),
        (4, "sharp waves, F7", 22.0, True, "an artefact"),
    ]
    page.locator("#mark-history").check()
    row = page.locator(f"{LIST}[data-voided]", has_text="sharp waves, F7")
    expect(row).to_contain_text("voided: an artefact")
    row.dblclick()
    expect(page.locator(f"{FORM} button.primary")).to_have_text("Add as a new mark")
    expect(page.locator(f"{FORM} li").first).to_contain_text("voided")
    page.keyboard.press("Escape")
    expect(page.locator(FORM)).to_be_hidden()
    page.locator("#mark-history").uncheck()
    expect(row).to_have_count(0)


def test_what_others_changed_meanwhile(
    own_servers: Viewer, api: httpx.Client, page: Page, problems: Problems
) -> None:
    problems.allow("409")
    one = note(api, MIXED, 3, duration=1, text="first")
    open_recording(page, own_servers.url, MIXED, MADE)
    marked(page, 1)
    page.locator(f"{LIST} button").click()
    field(page, "text").fill("mine")
    field(page, "reason").fill("my reason")
    revise(api, MIXED, one, onset=4.0, text="theirs", reason="their reason")
    save = page.locator(f"{FORM} button.primary")
    save.click()
    told = page.locator(".form-conflict")
    expect(told).to_contain_text("Changed meanwhile")
    expect(told).to_contain_text("“theirs”, at 0:00:04.000")
    expect(told).to_contain_text("Reason: their reason")
    expect(field(page, "text")).to_have_value("mine")
    expect(field(page, "reason")).to_have_value("my reason")
    expect(field(page, "onset")).to_have_value("0:00:04.000")  # it was not touched here
    save.click()
    expect(page.locator(FORM)).to_be_hidden()
    versions = notes(api, MIXED, history=True)
    assert [(each["version"], each["text"], each["onset"]) for each in versions] == [
        (1, "first", 3.0),
        (2, "theirs", 4.0),
        (3, "mine", 4.0),
    ]

    # Voided meanwhile: what was typed is not lost either.
    page.locator(f"{LIST} button").click()
    field(page, "text").fill("mine again")
    field(page, "reason").fill("another")
    path = f"/recordings/{MIXED}/annotations/{one['annotation_id']}"
    assert api.delete(path, params={"patient_id": MADE, "reason": "gone"}).is_success
    save.click()
    expect(told).to_contain_text("Voided meanwhile")
    expect(field(page, "text")).to_have_value("mine again")
    expect(save).to_have_text("Add as a new mark")
    save.click()
    expect(page.locator(FORM)).to_be_hidden()
    (new,) = notes(api, MIXED)
    assert (new["text"], new["version"], new["onset"]) == ("mine again", 1, 4.0)
    assert new["annotation_id"] != one["annotation_id"]


def test_two_forms_at_once(
    own_servers: Viewer, api: httpx.Client, pages: Pages, problems: Problems
) -> None:
    """Somebody else's change, made in a second browser, is not overwritten."""
    problems.allow("409")
    note(api, HOSTILE, 5, text="shared")
    one, other = pages.open(), pages.open()
    for page in (one, other):
        open_recording(page, own_servers.url, HOSTILE, MADE)
        page.locator(LIST, has_text="shared").dblclick()
        field(page, "reason").fill("seen twice")
    for page, text in ((one, "by one"), (other, "by the other")):
        field(page, "text").fill(text)
        page.locator(f"{FORM} button.primary").click()
    expect(other.locator(".form-conflict")).to_contain_text("“by one”")
    texts = [each["text"] for each in notes(api, HOSTILE, history=True)]
    assert "by the other" not in texts


def test_marking_by_keys(own_servers: Viewer, api: httpx.Client, page: Page) -> None:
    open_recording(page, own_servers.url, HOUR, MADE, t=2000)
    count = len(notes(api, HOUR))
    marked(page, count)

    done = [None]

    def added() -> dict[str, Any]:
        expect(page.locator(FORM)).to_be_hidden()
        wait_state(
            page,
            "state.annotations.some((mark) => mark.annotation_id === state.selected)"
            f" && state.selected !== '{done[0]}'",
        )
        chosen = done[0] = state(page, "selected")
        (found,) = [one for one in notes(api, HOUR) if one["annotation_id"] == chosen]
        return found

    # s twice: from where to where.
    page.mouse.click(*place(page, 2003))
    page.keyboard.press("s")
    expect(page.locator("#pending-seizure")).to_contain_text("seizure from 0:33:2")
    page.keyboard.press("ArrowRight")
    wait_drawn(page, 2010)
    page.mouse.click(*place(page, 2014))
    page.keyboard.press("s")
    expect(field(page, "kind")).to_have_value("seizure")
    page.keyboard.press("Enter")
    found = added()
    assert (found["kind"], found["text"]) == ("seizure", "seizure")
    assert found["onset"] == pytest.approx(2003, abs=0.02)
    assert found["duration"] == pytest.approx(11, abs=0.03)
    expect(page.locator("#pending-seizure")).to_have_text("")

    # s for a selected stretch, m for an instant where one has clicked.
    drag(page, 2016, 2018)
    page.keyboard.press("s")
    page.keyboard.press("Enter")
    found = added()
    assert found["onset"] == pytest.approx(2016, abs=0.02)
    assert found["duration"] == pytest.approx(2, abs=0.03)
    page.mouse.click(*place(page, 2012.5))
    page.keyboard.press("m")
    page.keyboard.type("spike")
    page.keyboard.press("Enter")
    found = added()
    assert (found["kind"], found["duration"]) == ("note", None)
    assert found["onset"] == pytest.approx(2012.5, abs=0.02)

    # Escape leaves, one thing after the other.
    page.keyboard.press("s")
    page.keyboard.press("Escape")
    expect(page.locator("#pending-seizure")).to_have_text("")
    page.keyboard.press("m")
    expect(page.locator(FORM)).to_be_visible()
    page.keyboard.press("s")  # a letter of the text
    page.keyboard.press("Escape")
    expect(page.locator(FORM)).to_be_hidden()
    assert len(notes(api, HOUR)) == count + 3

    # With Shift, the rows that were dragged over.
    page.mouse.move(*place(page, 2011, 0.5 / 23))
    page.keyboard.down("Shift")
    page.mouse.down()
    page.mouse.move(*place(page, 2012, 1 / 23))
    page.mouse.move(*place(page, 2013, 1.5 / 23))
    page.mouse.up()
    page.keyboard.up("Shift")
    keys = state(page, "selection")["keys"]
    assert keys == [curve["key"] for curve in state(page, "curves")[:2]]
    page.keyboard.press("m")
    page.keyboard.type("two channels")
    page.keyboard.press("Enter")
    assert added()["channels"] == keys


def test_what_the_form_refuses(own_servers: Viewer, api: httpx.Client, page: Page) -> None:
    open_recording(page, own_servers.url, GAP, MADE)
    count = len(notes(api, GAP))
    page.locator("#mark-add").click()
    save = page.locator(f"{FORM} button.primary")
    save.click()  # without a text
    invalid = "it => it.validationMessage"
    assert field(page, "text").evaluate(invalid) == "Say what it is"
    field(page, "text").fill("x")
    field(page, "onset").fill("soon")
    save.click()
    assert "0:12:30.5" in field(page, "onset").evaluate(invalid)
    field(page, "onset").fill("0:00:05")
    field(page, "end").fill("0:00:04")
    save.click()
    assert "before the onset" in field(page, "end").evaluate(invalid)
    field(page, "duration").fill("-1")
    save.click()
    assert "0 or more" in field(page, "duration").evaluate(invalid)
    assert len(notes(api, GAP)) == count
    field(page, "duration").fill("1,5")
    expect(field(page, "end")).to_have_value("0:00:06.500")
    save.click()
    expect(page.locator(FORM)).to_be_hidden()
    expect(page.locator("#mark-add")).to_be_focused()  # where one came from
    (found,) = [one for one in notes(api, GAP) if one["text"] == "x"]
    assert (found["onset"], found["duration"]) == (5.0, 1.5)
    page.locator(LIST, has_text="eyes open").dblclick()
    field(page, "reason").fill("none")
    save.click()
    expect(page.locator(".form-error")).to_have_text("Nothing has been changed.")


def test_a_refusal_is_told_and_nothing_typed_is_lost(
    viewer: Viewer, page: Page, problems: Problems
) -> None:
    problems.allow("503|422")
    open_recording(page, viewer.url, GAP, MADE)

    def refuse(status: int, **body: Any) -> Callable[[Route], None]:
        def handle(route: Route) -> None:
            if route.request.method != "POST":
                route.fallback()
                return
            text = json.dumps(body)
            route.fulfill(status=status, body=text, content_type="application/problem+json")

        return handle

    told = page.locator(".form-error")
    save = page.locator(f"{FORM} button.primary")
    page.locator("#mark-add").click()
    field(page, "text").fill("kept")
    page.route("**/annotations?*", refuse(503, detail="the records service does not answer"))
    save.click()
    expect(told).to_contain_text("What you entered is kept here; try again.")
    page.route(
        "**/annotations?*",
        refuse(422, detail="no", errors=[{"field": "onset", "message": "too far"}]),
    )
    save.click()
    expect(told).to_contain_text("onset: too far")
    expect(field(page, "text")).to_have_value("kept")
    expect(save).to_be_enabled()


def lose_answers(page: Page, count: int) -> list[int]:
    """Let new marks be stored, but lose the first answers; returns the status of the others."""
    seen: list[int] = []
    left = [count]

    def handle(route: Route) -> None:
        if route.request.method != "POST":
            route.fallback()
            return
        answer = route.fetch()
        if left[0]:
            left[0] -= 1
            route.abort()
            return
        seen.append(answer.status)
        route.fulfill(response=answer)

    page.route("**/annotations?*", handle)
    return seen


def test_a_mark_whose_answer_was_lost_is_stored_once(
    own_servers: Viewer, api: httpx.Client, page: Page, problems: Problems
) -> None:
    problems.allow("ERR_FAILED|409")
    open_recording(page, own_servers.url, GAP, MADE)
    count = len(notes(api, GAP))
    seen = lose_answers(page, 2)
    told = page.locator(".form-error")
    save = page.locator(f"{FORM} button.primary")
    page.locator("#mark-add").click()
    field(page, "text").fill("sent twice")
    save.click()
    expect(told).to_contain_text("Not confirmed")
    expect(page.locator(LIST, has_text="sent twice")).to_have_count(1)  # it is there, in truth
    save.click()
    expect(save).to_be_enabled()
    save.click()
    expect(page.locator(FORM)).to_be_hidden()
    assert seen == [200]
    assert [one["text"] for one in notes(api, GAP)].count("sent twice") == 1
    marked(page, count + 1)

    # Another form adds another mark, the same words or not.
    page.locator("#mark-add").click()
    field(page, "text").fill("sent twice")
    save.click()
    expect(page.locator(FORM)).to_be_hidden()
    assert len(notes(api, GAP)) == count + 2
    page.unroute("**/annotations?*")

    # What was typed on after the answer was lost becomes the next version, not a second mark.
    lose_answers(page, 1)
    page.locator("#mark-add").click()
    field(page, "text").fill("half a thou")
    save.click()
    expect(told).to_contain_text("Not confirmed")
    field(page, "text").fill("half a thought")
    save.click()
    conflict = page.locator(".form-conflict")
    expect(conflict).to_contain_text("Stored before, as it was then")
    expect(conflict).to_contain_text("“half a thou”")
    expect(field(page, "text")).to_have_value("half a thought")
    field(page, "reason").fill("typed on")
    save.click()
    expect(page.locator(FORM)).to_be_hidden()
    found = [one for one in notes(api, GAP, history=True) if one["text"].startswith("half")]
    assert [(one["version"], one["text"]) for one in found] == [
        (1, "half a thou"),
        (2, "half a thought"),
    ]
    assert len({one["annotation_id"] for one in found}) == 1
    marked(page, count + 3)


def test_a_form_that_is_closed_while_it_saves(
    own_servers: Viewer, api: httpx.Client, page: Page, problems: Problems
) -> None:
    """The mark is listed all the same; if it was refused, that is said."""
    problems.allow("500")
    open_recording(page, own_servers.url, GAP, MADE)
    held: list[Route] = []

    def hold(route: Route) -> None:
        if route.request.method == "POST":
            held.append(route)
        else:
            route.fallback()

    page.route("**/annotations?*", hold)
    for text in ("closed at once", "closed and refused"):
        page.locator("#mark-add").click()
        field(page, "text").fill(text)
        with page.expect_request(lambda request: request.method == "POST"):
            page.keyboard.press("Enter")
        page.keyboard.press("Escape")
        expect(page.locator(FORM)).to_be_hidden()
    held[0].continue_()
    expect(page.locator(LIST, has_text="closed at once")).to_have_count(1)
    held[1].fulfill(status=500, body='{"detail": "broken"}')
    expect(page.locator("#notice")).to_contain_text("The mark may not have been saved.")
    texts = [one["text"] for one in notes(api, GAP)]
    assert (texts.count("closed at once"), texts.count("closed and refused")) == (1, 0)


def test_ids_of_marks(viewer: Viewer, page: Page) -> None:
    """They are UUIDs also where the browser makes none by itself: without TLS, on a network."""
    page.goto(viewer.url)
    made = page.evaluate(
        """async () => {
          const { newId } = await import("/page/mark_ids.js");
          const one = newId();
          Object.defineProperty(crypto, "randomUUID", { value: undefined });
          return [one, newId(), newId()];
        }"""
    )
    assert len(set(made)) == 3
    for each in made:
        assert (str(UUID(each)), UUID(each).version, UUID(each).variant) == (each, 4, RFC_4122)


def test_marks_lie_on_what_is_on_the_screen(viewer: Viewer, page: Page, problems: Problems) -> None:
    """Not on a page that has been asked for, and not on a stretch that was turned away from."""
    problems.allow("500")
    open_recording(page, viewer.url, HOUR, MADE, t=100)
    drag(page, 102, 104)
    after_draw(page, lambda: page.keyboard.press("Shift+ArrowRight"))
    assert state(page, "selection")["start"] == pytest.approx(102, abs=0.02)  # still in view
    page.evaluate("window.ranvier.actions.goTo(3000)")
    wait_drawn(page, 3000)
    wait_state(page, "state.selection === null")
    page.keyboard.press("s")
    expect(page.locator("#pending-seizure")).to_contain_text("seizure from 0:50:0")
    page.keyboard.press("Escape")
    page.keyboard.press("m")
    expect(field(page, "onset")).to_have_value(re.compile("^0:50:0"))
    page.keyboard.press("Escape")

    page.route("**/api/eeg?*", lambda route: route.fulfill(status=500, body="{}"))
    page.evaluate("window.ranvier.actions.goTo(2000)")
    wait_state(page, "state.problem !== null && state.start === 2000")
    assert drawn(page)["start"] == 3000
    expect(page.locator("#traces")).to_have_class(re.compile("dimmed"))
    page.keyboard.press("m")
    expect(field(page, "onset")).to_have_value(re.compile("^0:50:0"))
    page.keyboard.press("Escape")


def test_times_of_day_in_the_form_keep_their_day(viewer: Viewer, page: Page) -> None:
    """A mark of the first day is edited while the page is on the second one."""
    page.goto(viewer.url)
    found = page.evaluate(
        """async () => {
          const { createFields } = await import("/page/mark_fields.js");
          const detail = { start_time: "2020-01-01T20:00:00" };
          const state = { clock: "absolute", detail, start: 90000, end: 172800, window: 10 };
          const fields = createFields(() => state, () => {});
          const [onset, end] = ["onset", "end"].map((name) =>
            fields.parts[2].querySelector(`[name=${name}]`));
          const type = (field, text) => {
            for (let at = 1; at <= text.length; at += 1) {
              field.value = text.slice(0, at);
              field.dispatchEvent(new Event("input"));
            }
            field.dispatchEvent(new Event("change"));
          };
          const found = [];
          const mark = { kind: "note", text: "x", onset: 7200, duration: 10, channels: [] };
          for (const [field, text] of [[onset, "22:00:01"], [end, "22:00:30"], [end, "01:00:00"],
            [onset, "22:30:00"], [onset, "22:00:00 +1d"]]) {
            fields.set(mark, []);
            found.push([field.value]);
            type(field, text);
            found.at(-1).push(fields.draft.onset, fields.draft.duration);
          }
          return found;
        }"""
    )
    assert found == [
        ["22:00:00.000", 7201, 10],
        ["22:00:10.000", 7200, 30],
        ["22:00:10.000", 7200, 10800],
        ["22:00:00.000", 9000, 10],
        ["22:00:00.000", 93600, 10],
    ]


# --- hostile --------------------------------------------------------------------------------------


def test_hostile_texts_are_texts(own_servers: Viewer, api: httpx.Client, page: Page) -> None:
    long = "<b>" + "W" * 9_990
    turned = "\u202eesrever <script>window.hacked=2</script>\u2066"
    lines = "one\ntwo\r\n\ttab \x00 after"
    for number, text in enumerate((long, turned, lines.replace("\x00", ""), "\u05d0\u05d1\u05d2")):
        note(api, HOSTILE, 6 + number / 4, duration=0.2, text=text)
    open_recording(page, own_servers.url, HOSTILE, MADE)
    texts = [one["text"] for one in state(page, "annotations")]
    assert {long, turned, HOSTILE_TEXT} <= set(texts)
    rows = page.locator(LIST)
    expect(rows).to_have_count(len(texts))
    for number in range(len(texts)):
        box = rows.nth(number).bounding_box()
        assert box is not None
        assert box["height"] == 44
    page.locator(LIST, has_text="<img src=x").dblclick()
    expect(field(page, "text")).to_have_value(HOSTILE_TEXT)
    page.keyboard.press("Escape")
    page.locator(LIST, has_text="one two tab").dblclick()
    expect(page.locator(f"{FORM} li")).to_contain_text("“one two tab after”")
    page.keyboard.press("Escape")
    assert page.evaluate("window.hacked") is None
    assert page.locator("#marks img, #marks script, #mark-form img, #seizures img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1600


# --- rights and time ------------------------------------------------------------------------------


def test_a_live_recording_shows_what_others_mark(own_servers: Viewer, page: Page) -> None:
    body = {
        "patient_id": MADE,
        "recording_id": "watched.edf",
        "channels": ["FP1-F7"],
        "start": 0.0,
        "end": 20.0,
        "samples": [[0.0] * 20 * 64],
        "unit": "uV",
    }
    with own_servers.records.client() as api:
        assert api.post("/ingest", json=body).is_success
        open_recording(page, own_servers.url, "watched.edf", MADE)
        expect(page.locator("#lamp")).to_have_text("live")
        expect(page.locator(".marks-empty")).to_contain_text("Press m")
        note(api, "watched.edf", 12, duration=3, kind="seizure", text="noticed elsewhere")
        expect(page.locator(LIST)).to_contain_text("noticed elsewhere", timeout=30_000)
        expect(page.locator("#seizures button")).to_have_count(1)
