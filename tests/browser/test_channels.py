"""The list of channels: shown and hidden, in another order, at another height."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.browser import after_draw, drawn, open_recording, state, wait_drawn
from tests.support.viewed_recordings import HOUR, MADE, MANY, MIXED
from tests.support.viewing import Viewer


@pytest.fixture
def open_panel(page: Page, viewer: Viewer) -> Callable[..., list[str]]:
    """Return what opens a recording with its channels, and returns their keys."""

    def act(recording: str = HOUR, **view: Any) -> list[str]:
        open_recording(page, viewer.url, recording, MADE, **view)
        page.locator("#tab-channels").click()
        return keys(page)

    return act


def keys(page: Page) -> list[str]:
    found: list[str] = page.evaluate(
        "() => [...document.querySelectorAll('.channel-row')].map((row) => row.dataset.key)"
    )
    return found


def rows(page: Page) -> list[str]:
    return list(drawn(page)["rows"])


def wait_rows(page: Page, first: list[str]) -> None:
    """Wait until the first rows that are drawn are these."""
    page.wait_for_function(
        """first => {
          const rows = window.ranvier.drawn.rows.map((row) => row.key);
          return first.every((key, at) => rows[at] === key);
        }""",
        arg=first,
    )


def row(page: Page, key: str) -> Locator:
    return page.locator(f'.channel-row[data-key="{key}"]')


def act(page: Page, key: str, name: str) -> None:
    row(page, key).hover()
    row(page, key).locator(f'[data-act="{name}"]').click()


def heights(page: Page) -> dict[str, float]:
    found: dict[str, float] = page.evaluate(
        """() => Object.fromEntries(window.ranvier.store.get().frame.rows.map(
          ({ key, uvPerPx }) => [key, uvPerPx]))"""
    )
    return found


def test_channels_are_hidden_and_shown(page: Page, open_panel: Callable[..., list[str]]) -> None:
    every = open_panel()
    assert rows(page) == every
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    after_draw(page, row(page, every[1]).locator("input").uncheck)
    page.wait_for_function("count => ranvier.drawn.rows.length === count", arg=len(every) - 1)
    assert rows(page) == [every[0], *every[2:]]
    expect(page.locator(".channels-count")).to_have_text(f"{len(every) - 1} of {len(every)}")
    # The link brings it back as it is.
    page.wait_for_url("**hidden=**")
    page.reload()
    wait_drawn(page)
    assert state(page, "hidden") == [every[1]]
    page.locator("#tab-channels").click()
    expect(row(page, every[1]).locator("input")).not_to_be_checked()
    page.locator("#channels-all").click()
    page.wait_for_function("count => ranvier.drawn.rows.length === count", arg=len(every))


def test_the_buttons_act_on_what_is_listed(
    page: Page, open_panel: Callable[..., list[str]]
) -> None:
    every = open_panel()
    page.locator("#channel-filter").fill("fp1")
    some = keys(page)
    assert 0 < len(some) < len(every)
    assert all("FP1" in key for key in some)
    page.locator("#channels-none").click()
    page.wait_for_function(
        "count => ranvier.drawn.rows.length === count", arg=len(every) - len(some)
    )
    page.locator("#channel-filter").fill("no such channel")
    expect(page.locator(".channels-empty")).to_be_visible()
    page.locator("#channel-filter").fill("")
    assert keys(page) == every
    page.locator("#channels-none").click()
    expect(page.locator("#notice")).to_contain_text("hidden")
    page.locator("#channels-reset").click()
    page.wait_for_function("count => ranvier.drawn.rows.length === count", arg=len(every))


def test_channels_are_moved_by_buttons(page: Page, open_panel: Callable[..., list[str]]) -> None:
    every = open_panel()
    act(page, every[2], "up")
    wait_rows(page, [every[0], every[2], every[1]])
    # The button that was pressed keeps the focus, so that it can be pressed again.
    page.keyboard.press("Enter")
    wait_rows(page, [every[2], every[0], every[1]])
    page.keyboard.press("Enter")
    assert keys(page)[:3] == [every[2], every[0], every[1]]
    act(page, every[2], "down")
    wait_rows(page, [every[0], every[2], every[1]])
    link = "&".join(f"order={key}" for key in (every[0], every[2], every[1]))
    page.wait_for_url(f"**{link}**")
    page.reload()
    wait_drawn(page)
    assert rows(page)[:3] == [every[0], every[2], every[1]]


def test_channels_are_dragged(page: Page, open_panel: Callable[..., list[str]]) -> None:
    every = open_panel()
    name = row(page, every[0]).locator(".channel-name")
    target = row(page, every[4])
    box = target.bounding_box()
    assert box is not None
    name.hover()
    page.mouse.down()
    page.mouse.move(box["x"] + 40, box["y"] + box["height"] / 2, steps=4)
    page.mouse.move(box["x"] + 40, box["y"] + box["height"] - 3)
    expect(target).to_have_attribute("data-target", "after")
    page.mouse.up()
    wait_rows(page, [*every[1:5], every[0]])
    assert keys(page)[:5] == [*every[1:5], every[0]]
    # A mere click moves nothing.
    row(page, every[0]).locator(".channel-name").click()
    assert keys(page)[:5] == [*every[1:5], every[0]]


def test_gains_are_on_top_of_the_sensitivity(
    page: Page, open_panel: Callable[..., list[str]]
) -> None:
    every = open_panel()
    before = heights(page)
    after_draw(page, lambda: act(page, every[0], "larger"))
    after_draw(page, lambda: act(page, every[0], "larger"))
    after_draw(page, lambda: act(page, every[1], "smaller"))
    after = heights(page)
    assert after[every[0]] == pytest.approx(before[every[0]] / 1.25**2, rel=0.01)
    assert after[every[1]] == pytest.approx(before[every[1]] / 0.8)
    assert after[every[2]] == before[every[2]]
    expect(row(page, every[0]).locator(".channel-gain")).to_have_text("\u00d71.6")
    act(page, every[1], "larger")
    expect(row(page, every[1]).locator(".channel-gain")).to_have_text("")
    assert every[1] not in state(page, "gains")
    page.wait_for_url("**gain=1.56*")
    page.reload()
    wait_drawn(page)
    assert heights(page)[every[0]] == after[every[0]]


def test_traces_are_fitted_to_their_rows(page: Page, open_panel: Callable[..., list[str]]) -> None:
    every = open_panel(sensitivity=100)
    after_draw(page, lambda: act(page, every[0], "fit"))
    assert list(state(page, "gains")) == [every[0]]
    after_draw(page, page.locator("#channels-fit").click)
    height = page.evaluate("() => window.ranvier.store.get().frame.rows[0].height")
    scales = heights(page)
    for key, one in drawn(page)["rows"].items():
        largest = np.percentile(np.abs(one["values"]), 99)
        assert largest / scales[key] == pytest.approx(0.45 * height, rel=0.05), key


def test_other_signals_are_listed_with_their_unit(
    page: Page, open_panel: Callable[..., list[str]]
) -> None:
    open_panel(MIXED)
    units = page.locator(".channel-name small").all_inner_texts()
    assert "" in units
    assert any(units)
    after_draw(page, page.locator("#channels-fit").click)


def test_many_channels_can_be_handled(
    page: Page, open_panel: Callable[..., list[str]], shot: Callable[[str], Path]
) -> None:
    every = open_panel(MANY)
    assert len(every) == 128
    last = row(page, every[-1])
    last.scroll_into_view_if_needed()
    after_draw(page, last.locator("input").uncheck)
    page.wait_for_function("() => ranvier.drawn.rows.length === 127")
    shot("many")
    page.locator("#channels-reset").click()
    page.wait_for_function("() => ranvier.drawn.rows.length === 128")


def test_labels_that_objects_have_of_their_own(page: Page, viewer: Viewer) -> None:
    """A channel called "constructor" has a gain like any other: 1, until it is given one."""
    page.goto(viewer.url)
    found = page.evaluate(
        """async () => {
          const { scaled, LARGER } = await import("/page/channel_order.js");
          const { gainOf } = await import("/page/rows.js");
          return ["constructor", "__proto__", "Fz"].map((key) => {
            const state = { gains: { F3: 2 } };
            const once = scaled(state, new Map([[key, gainOf(state, key) * LARGER]]));
            const back = scaled(once, new Map([[key, 1]]));
            return [gainOf(once, key), gainOf(once, "F3"), Object.keys(back.gains)];
          });
        }"""
    )
    assert found == [[1.25, 2, ["F3"]]] * 3
