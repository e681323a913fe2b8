"""What the other tests rely on: that nothing that goes wrong on a page stays unseen."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.support.browser import WITHIN_MS, Problems, open_recording
from tests.support.viewed_recordings import CLIP, CLIP_PATIENT
from tests.support.viewing import Viewer

STEP_MS = 20
WRONG = (
    ("console.error('oh no')", "console: oh no"),
    ("setTimeout(() => { throw new Error('thrown'); })", "error: thrown"),
    ("setTimeout(() => Promise.reject(new Error('refused')))", "error: refused"),
    ("fetch('/missing')", "status of 404"),
    ("fetch('http://127.0.0.1:1/').catch(() => 0)", "Content Security Policy"),
    ("new Image().src = 'http://127.0.0.1:1/'", "Content Security Policy"),
    ("setTimeout('1')", "Content Security Policy"),
)


def test_it_is_seen(viewer: Viewer, page: Page, problems: Problems) -> None:
    open_recording(page, viewer.url, CLIP, CLIP_PATIENT)
    assert problems.unexpected == []
    for script, told in WRONG:
        page.evaluate(f"() => {{ {script}; }}")
        for _ in range(WITHIN_MS // STEP_MS):
            if any(told in each for each in problems.seen):
                break
            page.wait_for_timeout(STEP_MS)  # events come meanwhile
        else:
            raise AssertionError(f"{script}: {problems.seen}")
        assert problems.unexpected != []
        problems.seen.clear()
    problems.seen.append("whatever")
    problems.allow(".")
    assert problems.unexpected == []


def test_another_host_is_seen_where_no_policy_stops_it(page: Page, problems: Problems) -> None:
    page.route("**/*", lambda route: route.fulfill(body="<html></html>", content_type="text/html"))
    page.goto("http://127.0.0.1:9/")
    page.evaluate("fetch('http://127.0.0.1:10/').catch(() => 0)")
    assert problems.unexpected == ["a request to another host: http://127.0.0.1:10/"]
    problems.allow("another host")
