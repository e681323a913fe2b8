"""Signing in with a token of one's own, which stays on the server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from realtime.viewer import throttle
from realtime.viewer.app import create_app
from realtime.viewer.callers import COOKIE
from realtime.viewer.throttle import TRIES
from tests.realtime.viewer.conftest import SECRET, FakeRecords, settings
from tests.support.app_server import serving

OWN = "rvt_token-of-a-person"


def sign_in(
    viewer: httpx.Client, token: str = OWN, target: str = "/", **more: Any
) -> httpx.Response:
    return viewer.post("/sign-in", data={"token": token, "next": target}, **more)


def cookie(answer: httpx.Response) -> Morsel[str]:
    ((name, about),) = SimpleCookie(answer.headers["set-cookie"]).items()
    assert COOKIE in name
    return about


def test_without_signing_in_there_is_nothing(guarded: httpx.Client, records: FakeRecords) -> None:
    for path in ("/api/recordings", "/api/eeg", "/montages"):
        answer = guarded.get(path)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert "ranvier tokens add" in answer.json()["detail"]
    assert guarded.post("/api/recordings/r/annotations", json={}).status_code == 401
    assert guarded.get("/session").json() == {"signed_in": False, "required": True}
    assert not records.asked


def test_people_are_asked_first_and_then_shown_what_they_wanted(
    guarded: httpx.Client, records: FakeRecords
) -> None:
    answer = guarded.get("/?recording=r%20s&t=5")
    assert answer.status_code == 303
    place = answer.headers["location"]
    assert place == "/sign-in?next=%2F%3Frecording%3Dr%2520s%26t%3D5"
    form = guarded.get(place)
    assert form.status_code == 200
    assert 'value="/?recording=r%20s&amp;t=5"' in form.text
    answer = sign_in(guarded, target="/?recording=r%20s&t=5")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?recording=r%20s&t=5")
    assert records.asked[-1].headers["authorization"] == f"Bearer {OWN}"
    assert guarded.get("/?recording=r%20s&t=5").status_code == 200
    assert guarded.get("/session").json() == {"signed_in": True, "required": True}
    # And whoever has no token still gets the document after a link on another site, whose data
    # then says that nobody is signed in.
    guarded.cookies.clear()
    assert guarded.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


def test_each_request_carries_the_persons_own_token(
    guarded: httpx.Client, records: FakeRecords
) -> None:
    sign_in(guarded)
    answer = guarded.get("/api/recordings")
    assert records.asked[-1].headers["authorization"] == f"Bearer {OWN}"
    assert "cookie" not in records.asked[-1].headers
    for text in (answer.text, str(answer.headers), guarded.get("/").text):
        assert OWN not in text
        assert SECRET not in text
    assert all(SECRET not in str(asked.headers) for asked in records.asked)


def test_the_cookie_is_for_the_browser_alone(guarded: httpx.Client) -> None:
    about = cookie(sign_in(guarded))
    assert about["httponly"]
    assert about["samesite"] == "strict"
    assert about["path"] == "/"
    assert not about["domain"]
    assert not about["max-age"]  # gone with the browser; else with the session
    assert not about["expires"]
    assert not about["secure"]
    # Cookies are shared by all ports of a host.
    assert about.key == f"{COOKIE}-{guarded.base_url.port}"
    assert OWN not in about.value
    host = str(guarded.base_url.netloc.decode())
    secure = sign_in(guarded, headers={"Origin": f"https://{host}"})
    assert cookie(secure)["secure"]
    assert cookie(secure).key == f"__Host-{COOKIE}-{guarded.base_url.port}"


def test_a_browser_keeps_nothing_that_going_back_would_show(
    guarded: httpx.Client, records: FakeRecords
) -> None:
    sign_in(guarded)
    records.headers = {"Cache-Control": "private, max-age=31536000, immutable", "ETag": '"t"'}
    for path in (
        "/",
        "/?recording=r",
        "/sign-in?next=/",
        "/session",
        "/api/eeg",
        "/api/recordings",
    ):
        assert guarded.get(path).headers["cache-control"] == "no-store", path


def test_whoever_has_signed_in_goes_on(guarded: httpx.Client) -> None:
    assert "/page/signed_in.js" in guarded.get("/sign-in").text
    sign_in(guarded)
    answer = guarded.get("/sign-in", params={"next": "/?recording=r"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/?recording=r")
    answer = guarded.get("/sign-in", params={"next": "//evil.example"})
    assert answer.headers["location"] == "/"


def test_strangers_are_not_told_where_the_records_service_is(tmp_path: Path) -> None:
    app = create_app(settings(tmp_path, "http://127.0.0.1:9", sign_in=True))
    with serving(app) as url, httpx.Client(base_url=url, headers={"Origin": url}) as stranger:
        answer = sign_in(stranger)
    assert answer.status_code == 502
    assert "cannot be reached" in answer.text
    assert "127.0.0.1" not in answer.text


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
        "/sign-out",
        "/?a\r\nSet-Cookie: x=y",
        "evil",
        "",
    ],
)
def test_only_the_own_page_is_shown_next(guarded: httpx.Client, target: str) -> None:
    assert 'name="next" value="/"' in guarded.get(f"/sign-in?next={quote(target)}").text
    assert sign_in(guarded, target=target).headers["location"] == "/"


def test_what_is_typed_does_not_become_markup(guarded: httpx.Client) -> None:
    text = guarded.get("/sign-in", params={"next": '/?"><script>alert(1)</script>'}).text
    assert "<script>alert" not in text


@pytest.mark.parametrize(
    ("status", "answered", "said"),
    [(401, 401, "unknown"), (403, 403, "eeg:read"), (500, 502, "answered 500")],
)
def test_a_token_that_does_not_work_opens_nothing(
    guarded: httpx.Client, records: FakeRecords, status: int, answered: int, said: str
) -> None:
    records.status = status
    answer = sign_in(guarded, headers={"X-Forwarded-For": "1.2.3.4"})
    assert answer.status_code == answered
    assert said in answer.text
    assert OWN not in answer.text
    assert "set-cookie" not in answer.headers
    assert guarded.get("/api/recordings").status_code == 401


def test_what_is_no_token_is_not_even_asked_for(
    guarded: httpx.Client, records: FakeRecords
) -> None:
    for token in ("", "two words", "line\nbreak", "ü", "x" * 501):
        assert sign_in(guarded, token).status_code == 401
    assert not records.asked


def test_a_token_that_is_revoked_ends_the_session(
    guarded: httpx.Client, records: FakeRecords
) -> None:
    sign_in(guarded)
    assert guarded.get("/api/recordings").status_code == 200
    records.status = 401
    assert guarded.get("/api/recordings").status_code == 401
    asked = len(records.asked)
    records.status = 200
    assert guarded.get("/api/recordings").status_code == 401
    assert len(records.asked) == asked


def test_signing_out_forgets(guarded: httpx.Client) -> None:
    sign_in(guarded)
    held = dict(guarded.cookies)
    answer = guarded.post("/sign-out")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    assert answer.headers["clear-site-data"] == '"cache"'
    assert not guarded.cookies
    guarded.cookies.update(held)
    assert guarded.get("/api/recordings").status_code == 401


def test_signing_in_again_gives_another_session(guarded: httpx.Client) -> None:
    first = cookie(sign_in(guarded))
    second = cookie(sign_in(guarded))
    assert first.value != second.value
    guarded.cookies.clear()
    guarded.cookies.set(first.key, first.value)
    assert guarded.get("/api/recordings").status_code == 401


def test_the_own_token_wins_where_one_is_lent(viewer: httpx.Client, records: FakeRecords) -> None:
    assert viewer.get("/session").json() == {"signed_in": False, "required": False}
    viewer.get("/api/recordings")
    assert records.asked[-1].headers["authorization"] == f"Bearer {SECRET}"
    sign_in(viewer, headers={"Origin": str(viewer.base_url).rstrip("/")})
    viewer.get("/api/recordings")
    assert records.asked[-1].headers["authorization"] == f"Bearer {OWN}"


def test_guessing_takes_its_time(
    records: FakeRecords, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "APART_S", 0.5)
    monkeypatch.setattr(throttle, "PATIENCE_S", 0.9)
    records.status = 401
    app = create_app(settings(tmp_path, records.url, sign_in=True))
    with serving(app) as url, httpx.Client(base_url=url, headers={"Origin": url}) as page:
        with ThreadPoolExecutor(30) as people:
            answers = list(people.map(lambda _: sign_in(page), range(30)))
        statuses = [answer.status_code for answer in answers]
        assert set(statuses) == {401, 429}
        assert len(records.asked) == statuses.count(401) < 2 * TRIES
        late = next(answer for answer in answers if answer.status_code == 429)
        assert int(late.headers["retry-after"]) >= 1
        records.status = 200
        assert sign_in(page).status_code == 303
