"""The start page: recordings are listed, filtered, sorted and opened; live ones grow."""

from __future__ import annotations

import json
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.browser import Pages, Problems, state, wait_drawn, wait_state
from tests.support.record_posts import chunk
from tests.support.viewed_recordings import CLIP, HOUR, MADE
from tests.support.viewing import Viewer

ROWS = ".picker-row"
HOSTILE = "<img src=x onerror=window.hacked=1>\u202egnp.exe"


def item(number: int, **members: Any) -> dict[str, Any]:
    return {
        "patient_id": f"p{number % 97}",
        "recording_id": f"night-{number}.edf",
        "duration_sec": float(number),
        "channel_count": 23,
        "channels": [],
        "rates_hz": [256.0],
        "start_time": f"2020-01-01T{number % 24:02d}:00:00+00:00",
        "state": "sealed",
        "size_bytes": number * 1000,
    } | members


def answer(page: Page, items: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Let the list of recordings be this; return a place in which it can be changed."""
    held = [items]

    def fulfil(route: Route) -> None:
        route.fulfill(body=json.dumps(held[0]), content_type="application/json")

    page.route("**/api/recordings", fulfil)
    return held


def column(page: Page, name: str) -> list[str]:
    """Return the texts of a column, from top to bottom."""
    found: list[str] = page.evaluate(
        """name => [...document.querySelectorAll(".picker-row")]
          .sort((one, other) => one.dataset.index - other.dataset.index)
          .map((row) => row.querySelector(`[data-column=${name}]`).innerText.trim())""",
        name,
    )
    return found


def test_every_recording_is_listed_with_what_is_known_of_it(viewer: Viewer, page: Page) -> None:
    page.goto(viewer.url)
    with viewer.records.client() as client:
        listed = client.get("/recordings").json()
    expect(page.locator(ROWS)).to_have_count(len(listed))
    expect(page.locator(".picker-count")).to_have_text(f"{len(listed)} recordings")
    row = page.locator(ROWS, has_text=CLIP)
    texts = row.locator("[role=cell]").all_inner_texts()
    # The clock of the recording, not of the browser.
    assert [each.strip() for each in texts] == [
        "chb01",
        CLIP,
        "2076-11-06 14:32",
        "50 s",
        "23 \u00d7 256 Hz",
        texts[5].strip(),
        "sealed",
    ]
    assert texts[5].endswith("kB")
    mixed = page.locator(ROWS, has_text="mixed.edf")
    expect(mixed).to_contain_text("7 \u00d7 1 \u2013 512 Hz")
    assert page.title() == "Ranvier"


def test_two_clicks_lead_to_the_seizure(viewer: Viewer, page: Page) -> None:
    page.goto(viewer.url)
    page.get_by_text(CLIP, exact=True).click()
    page.locator("#seizures button").click()
    wait_drawn(page, 8, 10)  # the onset, 10 s, at a fifth of the page
    assert state(page, "recording") == CLIP
    expect(page.locator("#title")).to_contain_text("2076-11-06 14:32 · 50 s · 23 channels, 256 Hz")
    expect(page.locator("#lamp")).to_have_text("sealed")
    assert page.title() == f"{CLIP} · chb01 \u2013 Ranvier"


def test_the_filter_and_the_keyboard(viewer: Viewer, page: Page) -> None:
    page.goto(viewer.url)
    filtering = page.locator(".picker-filter")
    expect(filtering).to_be_focused()
    filtering.type("CHB01 clip")
    expect(page.locator(ROWS)).to_have_count(2)
    expect(page.locator(".picker-count")).to_contain_text("2 of ")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("link", name=CLIP)).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("link", name="chb01_04_clip.edf")).to_be_focused()
    page.keyboard.press("Enter")
    wait_state(page, "state.recording === 'chb01_04_clip.edf' && state.detail")
    page.locator("#home").click()
    expect(page.locator(ROWS)).to_have_count(2)  # the filter is as it was left
    filtering.fill("nobody")
    expect(page.locator(".picker-empty")).to_contain_text("matches “nobody”")
    page.get_by_role("button", name="Show all").click()
    expect(page.locator(ROWS).first).to_be_visible()
    filtering.fill(HOUR)
    filtering.press("Enter")
    wait_state(page, f"state.recording === '{HOUR}' && state.patient === '{MADE}'")


def test_a_link_opens_elsewhere(viewer: Viewer, page: Page) -> None:
    page.goto(viewer.url)
    link = page.get_by_role("link", name=CLIP)
    assert link.get_attribute("href") == f"/?patient=chb01&recording={CLIP}"
    with page.context.expect_page() as opened:
        link.click(modifiers=["Control"])
    wait_drawn(opened.value, 0)
    assert state(page, "recording") is None


def test_sorting(viewer: Viewer, page: Page) -> None:
    page.goto(viewer.url)
    expect(page.locator(ROWS).first).to_be_visible()
    names = column(page, "recording")
    assert names[:2] == [CLIP, "chb01_04_clip.edf"]  # by patient, then by name
    head = page.locator(".picker-head")
    head.get_by_role("button", name="Duration").click()
    assert column(page, "duration")[0] == "2 s"
    cell = head.get_by_role("columnheader", name="Duration")
    expect(cell).to_have_attribute("aria-sort", "ascending")
    head.get_by_role("button", name="Duration").click()
    expect(cell).to_have_attribute("aria-sort", "descending")
    assert column(page, "recording")[0] == HOUR
    head.get_by_role("button", name="Start").click()
    starts = column(page, "date")
    assert starts == sorted(starts)


def test_the_order_is_natural_and_what_is_unknown_comes_last(viewer: Viewer, page: Page) -> None:
    page.goto(viewer.url)
    found = page.evaluate(
        """async () => {
          const { arranged, sizeOf, ratesOf } = await import("/page/recording_columns.js");
          const one = (recording_id, start_time) =>
            ({ patient_id: "p", recording_id, start_time, duration_sec: 1 });
          const all = [one("n10", null), one("n9", "2020-01-02T00:00:00Z"), one("N1", null),
            one("n2", "2020-01-01T23:00:00-05:00")];
          const names = (by, down) =>
            arranged(all, "", { by, down }).map((each) => each.recording_id);
          return { names: names("recording", false), dates: names("date", false),
            latest: names("date", true), sizes: [0, 999, 1000, 2.5e6, 3e13].map(sizeOf),
            rates: [[], [256], [1, 256, 512.125]].map(ratesOf) };
        }"""
    )
    assert found == {
        "names": ["N1", "n2", "n9", "n10"],
        "dates": ["n9", "n2", "N1", "n10"],
        "latest": ["n2", "n9", "N1", "n10"],
        "sizes": ["0 B", "999 B", "1.0 kB", "2.5 MB", "30 TB"],
        "rates": ["\u2013", "256 Hz", "1 \u2013 512.13 Hz"],
    }


def test_thousands_stay_fluent_and_keep_their_place(viewer: Viewer, page: Page) -> None:
    held = answer(page, [item(number) for number in range(5000)])
    page.goto(viewer.url)
    expect(page.locator(".picker-count")).to_have_text("5,000 recordings")
    assert page.locator(ROWS).count() < 100
    scroller = page.locator(".picker-list")
    scroller.evaluate("it => it.scrollTop = 90000")
    row = page.locator('[data-index="2503"] a')
    expect(row).to_be_visible()
    row.focus()
    name = row.inner_text()
    # One more, at the top: what is looked at stays where it is, and so does the focus.
    held[0] = [item(0, patient_id="a0", state="live"), *held[0]]
    expect(page.locator(".picker-count")).to_have_text("5,001 recordings")
    assert scroller.evaluate("it => it.scrollTop") == 90000
    expect(page.get_by_role("link", name=name, exact=True)).to_be_focused()
    page.keyboard.press("End")
    expect(page.locator('[data-index="5000"] a')).to_be_focused()
    page.keyboard.press("PageUp")
    page.keyboard.press("Home")
    expect(page.locator('[data-index="0"] a')).to_be_focused()
    made = page.evaluate(
        """async () => {
          const filter = document.querySelector(".picker-filter");
          const watch = new MutationObserver(() => {});
          watch.observe(document.querySelector(".picker-list"), { childList: true, subtree: true });
          let rows = 0;
          for (const text of ["n", "ni", "night-4", "night-49", "night-499"]) {
            filter.value = text;
            filter.dispatchEvent(new Event("input"));
            await new Promise((resolve) => requestAnimationFrame(resolve));
            for (const { addedNodes } of watch.takeRecords()) {
              for (const each of addedNodes) rows += each.matches?.(".picker-row") ? 1 : 0;
            }
          }
          return rows;
        }"""
    )
    assert made < 5 * 100  # as many as are seen, for a letter
    expect(page.locator(ROWS)).to_have_count(11)


def test_a_live_recording_appears_and_grows(viewer: Viewer, page: Page) -> None:
    page.goto(viewer.url)
    expect(page.locator(ROWS).first).to_be_visible()

    def send(client: httpx.Client, second: int) -> None:
        samples = np.zeros((4, 256), int)
        assert client.post("/ingest", json=chunk("grows.edf", samples, second)).is_success

    with viewer.records.client() as client:
        send(client, 0)
        row = page.locator(ROWS, has_text="grows.edf")
        expect(row).to_contain_text("live")
        expect(row.locator(".lamp")).to_have_attribute("data-state", "live")
        expect(row).to_contain_text("1 s")
        send(client, 1)
        expect(row).to_contain_text("2 s")
    row.click()
    expect(page.locator("#lamp")).to_have_text("live")
    expect(page.locator("#lamp")).to_have_attribute("data-state", "live")


def test_nothing_there_says_what_to_do(viewer: Viewer, page: Page) -> None:
    held = answer(page, [])
    page.goto(viewer.url)
    empty = page.locator(".picker-empty")
    expect(empty).to_contain_text("ranvier ingest FOLDER")
    expect(empty).to_contain_text("ranvier simulate wearable FILE")
    held[0] = [item(1)]
    expect(page.locator(ROWS)).to_have_count(1)
    expect(empty).to_be_hidden()


@pytest.mark.parametrize(("status", "said"), [(502, "Trying again"), (403, "cannot be listed")])
def test_a_service_that_refuses(
    viewer: Viewer, page: Page, problems: Problems, status: int, said: str
) -> None:
    problems.allow(str(status))
    detail = {"detail": "the records service does not answer"}
    failing = [True]

    def refuse(route: Route) -> None:
        if failing[0]:
            route.fulfill(status=status, body=json.dumps(detail), content_type="application/json")
        else:
            route.fallback()

    answer(page, [item(1)])
    page.route("**/api/recordings", refuse)
    page.goto(viewer.url)
    told = page.locator(".picker-problem")
    expect(told).to_contain_text(said)
    expect(told).to_contain_text(detail["detail"])
    failing[0] = False
    expect(page.locator(ROWS)).to_have_count(1)
    expect(told).to_be_hidden()


def test_names_are_text(viewer: Viewer, pages: Pages) -> None:
    page = pages.open()
    answer(page, [item(1, patient_id=HOSTILE, recording_id=HOSTILE + "x" * 5000)])
    page.goto(viewer.url)
    link = page.get_by_role("link", name="<img src=x onerror=window.hacked=1>")
    expect(link).to_be_visible()
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("document.documentElement.scrollWidth") <= 1600
    box = page.locator(ROWS).bounding_box()
    assert box is not None
    assert box["height"] == 36
