"""A recording that is being made: its end is followed, until somebody goes back in time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page, expect

from tests.support.browser import (
    Problems,
    drawn,
    open_recording,
    state,
    values,
    wait_drawn,
    wait_state,
)
from tests.support.page_requests import requests_of
from tests.support.viewing import Viewer

RATE = 256
LABELS = ["FP1-F7", "F7-T7", "T7-P7"]
PATIENT = "live"
UNFILTERED: dict[str, Any] = {"hp": None, "lp": None}


class Device:
    """Sends a recording, second after second, as a headband would."""

    def __init__(self, viewer: Viewer, name: str) -> None:
        self.name = name
        self.seconds = 0
        self._viewer = viewer

    def samples(self, start: int, end: int) -> NDArray[np.float64]:
        """Return what the first channel holds: a ramp that tells each sample's number."""
        found: NDArray[np.float64] = np.arange(start * RATE, end * RATE) / 64
        return found

    def send(self, seconds: int) -> None:
        """Send so many seconds more."""
        with self._viewer.records.client() as client:
            for _ in range(seconds):
                ramp = self.samples(self.seconds, self.seconds + 1)
                chunk = {
                    "patient_id": PATIENT,
                    "recording_id": self.name,
                    "channels": LABELS,
                    "start": self.seconds,
                    "end": self.seconds + 1,
                    "samples": [ramp.tolist(), (-ramp).tolist(), (0 * ramp).tolist()],
                }
                client.post("/ingest", json=chunk).raise_for_status()
                self.seconds += 1

    def seal(self) -> None:
        """End the recording."""
        with self._viewer.records.client() as client:
            asked = {"patient_id": PATIENT}
            client.post(f"/recordings/{self.name}/seal", params=asked).raise_for_status()


@pytest.fixture
def device(own_servers: Viewer, request: pytest.FixtureRequest) -> Device:
    """Return a device that has sent nothing yet."""
    return Device(own_servers, request.node.name.replace("[", "-").strip("]"))


def test_the_end_is_followed(own_servers: Viewer, page: Page, device: Device) -> None:
    """The page fills from the left and turns when it is full; what is drawn is what came in."""
    device.send(7)
    open_recording(page, own_servers.url, device.name, PATIENT, **UNFILTERED)
    wait_drawn(page, 0, 10)
    assert state(page, "following") is True
    assert len(values(page, "FP1-F7")) == 7 * RATE
    expect(page.locator("#lamp")).to_be_visible()
    device.send(2)
    page.wait_for_function("(count) => ranvier.drawn.rows[0].values.length === count", arg=9 * RATE)
    np.testing.assert_allclose(values(page, "FP1-F7"), device.samples(0, 9), atol=1e-4)
    device.send(4)
    wait_drawn(page, 10)
    page.wait_for_function("(count) => ranvier.drawn.rows[0].values.length === count", arg=3 * RATE)
    np.testing.assert_allclose(values(page, "FP1-F7"), device.samples(10, 13), atol=1e-4)
    assert state(page, "end") == 13


def test_going_back_stops_following(own_servers: Viewer, page: Page, device: Device) -> None:
    """The page before stays where it is while more comes in; End, or the button, resumes."""
    device.send(25)
    open_recording(page, own_servers.url, device.name, PATIENT, **UNFILTERED)
    wait_drawn(page, 20)
    page.keyboard.press("ArrowLeft")
    wait_drawn(page, 10)
    assert state(page, "following") is False
    device.send(10)
    wait_state(page, "state.end === 35")
    assert drawn(page)["start"] == 10
    page.keyboard.press("End")
    wait_drawn(page, 30)
    assert state(page, "following") is True
    page.locator("#follow").click()
    wait_state(page, "!state.following")
    device.send(6)
    wait_state(page, "state.end === 41")
    assert drawn(page)["start"] == 30
    page.locator("#follow").click()
    wait_drawn(page, 40)


def test_a_page_that_grows_is_not_asked_for_too_often(
    own_servers: Viewer, page: Page, device: Device
) -> None:
    """However quickly chunks come in, the page is fetched four times a second at most."""
    device.send(1)
    open_recording(page, own_servers.url, device.name, PATIENT, w=60, **UNFILTERED)
    wait_state(page, "!state.loading")
    asked = requests_of(page, "/eeg?")
    began = page.evaluate("performance.now()")
    device.send(40)
    # Fewer points than samples are drawn by now: the extremes of each column.
    wait_state(page, f"state.pages.groups[0].num_samples === {41 * RATE}")
    assert values(page, "FP1-F7").max() == device.samples(0, 41).max()
    seconds = (page.evaluate("performance.now()") - began) / 1000
    assert 1 <= len(asked) <= 4 * seconds + 2


def test_a_recording_that_ends_is_sealed_on_the_page(
    own_servers: Viewer, page: Page, device: Device
) -> None:
    """Its lamp goes out, its last page stays, and it can be read as any other."""
    device.send(12)
    open_recording(page, own_servers.url, device.name, PATIENT, hp=1, lp=70)
    wait_drawn(page, 10)
    device.seal()
    wait_state(page, "!state.live && state.detail.state === 'sealed'")
    wait_state(page, "state.pages.whole")
    expect(page.locator("#follow")).to_be_hidden()
    page.keyboard.press("ArrowLeft")
    wait_drawn(page, 0)
    page.keyboard.press("End")
    wait_drawn(page, 10)
    assert state(page, "following") is False


def test_a_page_loaded_anew_goes_on_following(
    own_servers: Viewer, page: Page, device: Device
) -> None:
    """The address tells that the end was followed, as long as it is."""
    device.send(12)
    open_recording(page, own_servers.url, device.name, PATIENT)
    wait_drawn(page, 10)
    page.wait_for_function("() => location.search.endsWith('&t=10&follow=1')")
    page.reload()
    wait_drawn(page, 10)
    assert state(page, "following") is True
    device.send(10)
    wait_drawn(page, 20)
    page.keyboard.press("ArrowLeft")
    wait_drawn(page, 10)
    page.wait_for_function("() => location.search.endsWith('&t=10')")


def test_a_link_into_a_live_recording_stays_there(
    own_servers: Viewer, page: Page, device: Device
) -> None:
    """Whoever was sent a place is not carried off to the end."""
    device.send(15)
    open_recording(page, own_servers.url, device.name, PATIENT, t=2, w=5)
    wait_drawn(page, 2, 5)
    device.send(5)
    wait_state(page, "state.end === 20")
    assert drawn(page)["start"] == 2
    assert state(page, "following") is False


def test_play_ends_in_following(own_servers: Viewer, page: Page, device: Device) -> None:
    """At the end of what there is, a reader who lets it play waits for more."""
    device.send(25)
    open_recording(page, own_servers.url, device.name, PATIENT, t=0)
    page.locator("#speed").select_option("30")
    page.locator("#play").click()
    wait_drawn(page, 20)
    wait_state(page, "state.following && !state.playing")


def test_a_recording_without_samples_yet(own_servers: Viewer, page: Page, device: Device) -> None:
    """It was declared and nothing has come: the page says so, and fills when something does."""
    channels = [{"label": label, "unit": "uV"} for label in LABELS]
    declared = {
        "patient_id": PATIENT,
        "recording_id": device.name,
        "groups": [{"rate_hz": RATE, "dtype": "float64", "channels": channels}],
    }
    with own_servers.records.client() as client:
        client.post("/recordings", json=declared).raise_for_status()
    open_recording(page, own_servers.url, device.name, PATIENT, wait=False, **UNFILTERED)
    expect(page.locator("#notice")).to_contain_text("Nothing has been recorded yet.")
    device.send(3)
    page.wait_for_function(
        "(count) => ranvier.drawn?.rows[0]?.values.length === count", arg=3 * RATE
    )
    expect(page.locator("#notice")).to_be_empty()


def test_the_connection_is_made_again(
    own_servers: Viewer, page: Page, device: Device, problems: Problems
) -> None:
    """The records service goes and comes back: what came in meanwhile is there."""
    problems.allow("50[234]|WebSocket|ERR_")
    device.send(4)
    open_recording(page, own_servers.url, device.name, PATIENT, **UNFILTERED)
    wait_drawn(page, 0)
    own_servers.records.kill()
    wait_state(page, "state.disconnected || state.problem")
    expect(page.locator("#notice")).not_to_be_empty()
    own_servers.records.start()
    device.send(4)
    page.wait_for_function("(count) => ranvier.drawn.rows[0].values.length === count", arg=8 * RATE)
    expect(page.locator("#notice")).to_be_empty()


# How many samples of a row of the page are there.
HELD = """(key) => {
  const found = ranvier.drawn?.rows.find((row) => row.key === key);
  return found?.values.filter((value) => value === value).length;
}"""


def send(viewer: Viewer, name: str, labels: list[str], start: int, end: int, rate: int) -> None:
    """Send a stretch of some channels, at any place."""
    ramp = (np.arange(start * rate, end * rate) / 64).tolist()
    chunk = {
        "patient_id": PATIENT,
        "recording_id": name,
        "channels": labels,
        "start": start,
        "end": end,
        "samples": [ramp] * len(labels),
    }
    with viewer.records.client() as client:
        client.post("/ingest", json=chunk).raise_for_status()


def wait_held(page: Page, key: str, count: int) -> None:
    """Wait until so many samples of a row are drawn."""
    page.wait_for_function(f"([key, count]) => ({HELD})(key) === count", arg=[key, count])


def test_what_comes_late_is_drawn(own_servers: Viewer, page: Page) -> None:
    """A chunk that fills a hole, and samples of a group that lags: here, and on pages turned to."""
    name = "late"
    for start, end in ((0, 12), (15, 22), (25, 40)):
        send(own_servers, name, ["A"], start, end, RATE)
    send(own_servers, name, ["S"], 0, 1, 4)
    open_recording(page, own_servers.url, name, PATIENT, t=20, **UNFILTERED)
    wait_held(page, "A", 7 * RATE)
    page.keyboard.press("ArrowLeft")
    wait_drawn(page, 10)
    wait_held(page, "A", 7 * RATE)
    wait_state(page, "!state.loading")
    draws = page.evaluate("window.draws")
    asked = requests_of(page, "/eeg?")
    page.wait_for_function(
        "(before) => ranvier.store.get().pages.at > before", arg=page.evaluate("performance.now()")
    )
    assert asked  # and nothing is drawn again for it
    assert page.evaluate("window.draws") == draws
    send(own_servers, name, ["A"], 12, 15, RATE)
    wait_held(page, "A", 10 * RATE)
    assert state(page, "pages")["whole"] is False
    send(own_servers, name, ["S"], 1, 40, 4)
    wait_held(page, "S", 40)
    wait_state(page, "state.pages.whole")
    send(own_servers, name, ["A"], 22, 25, RATE)
    page.keyboard.press("ArrowRight")
    wait_drawn(page, 20)
    wait_held(page, "A", 10 * RATE)
    wait_held(page, "S", 40)


def test_what_came_late_is_there_once_a_recording_is_sealed(
    own_servers: Viewer, page: Page
) -> None:
    """On the page that is shown, and on those that were."""
    name = "late-sealed"
    for start, end in ((0, 2), (5, 12), (15, 40)):
        send(own_servers, name, ["A"], start, end, RATE)
    open_recording(page, own_servers.url, name, PATIENT, t=0, **UNFILTERED)
    wait_held(page, "A", 7 * RATE)
    page.keyboard.press("ArrowRight")
    wait_drawn(page, 10)
    send(own_servers, name, ["A"], 2, 5, RATE)
    send(own_servers, name, ["A"], 12, 15, RATE)
    with own_servers.records.client() as client:
        asked = {"patient_id": PATIENT}
        client.post(f"/recordings/{name}/seal", params=asked).raise_for_status()
    wait_held(page, "A", 10 * RATE)
    wait_state(page, "!state.live && state.pages.whole")
    page.keyboard.press("ArrowLeft")
    wait_drawn(page, 0)
    wait_held(page, "A", 10 * RATE)


def test_growth_that_could_not_be_asked_for_is_asked_for_again(
    own_servers: Viewer, page: Page, device: Device, problems: Problems
) -> None:
    """By itself, and at once where somebody says so; though nothing more is recorded."""
    problems.allow("503")
    device.send(5)
    open_recording(page, own_servers.url, device.name, PATIENT, **UNFILTERED)
    wait_held(page, "FP1-F7", 5 * RATE)
    refused = "**/api/eeg?**"
    for seconds in (6, 7):
        page.route(refused, lambda route: route.fulfill(status=503, json={"status": 503}))
        device.send(1)
        expect(page.locator("#notice")).to_contain_text("Trying again")
        page.unroute(refused)
        if seconds == 7:
            page.evaluate("ranvier.actions.reload()")
        wait_held(page, "FP1-F7", seconds * RATE)
        wait_state(page, "!state.problem")


def test_an_answer_that_breaks_off_is_asked_for_again(own_servers: Viewer, page: Page) -> None:
    """As if none had come."""
    send(own_servers, "broken", ["A"], 0, 60, RATE)
    page.add_init_script(
        """const whole = window.fetch;
        window.breaks = 0;
        window.fetch = async (...asked) => {
          const answer = await whole(...asked);
          if (!String(asked[0]).includes("/api/eeg") || window.breaks === 0) return answer;
          window.breaks -= 1;
          const some = new Uint8Array(await answer.arrayBuffer()).subarray(0, 900);
          const body = new ReadableStream({
            start(way) {
              way.enqueue(some);
              if (window.breaks % 2) way.error(new TypeError("network error"));
              else way.close();
            },
          });
          return new Response(body, { status: 200 });
        }"""
    )
    open_recording(page, own_servers.url, "broken", PATIENT, t=0, w=5, **UNFILTERED)
    wait_state(page, "!state.loading")
    page.evaluate("window.breaks = 2; ranvier.actions.goTo(40)")
    expect(page.locator("#notice")).to_contain_text("Trying again")
    wait_drawn(page, 40)
    wait_state(page, "!state.problem && !state.loading")
    assert page.evaluate("window.breaks") == 0
