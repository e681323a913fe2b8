"""Signing in with a token of one's own, which stays on the server."""

from __future__ import annotations

from http.cookies import Morsel, SimpleCookie
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from realtime.viewer.callers import COOKIE
from realtime.viewer.sessions import TRIES
from tests.realtime.viewer.conftest import SECRET, FakeRecords

OWN = "rvt_token-of-a-person"


def sign_in(
    viewer: httpx.Client, token: str = OWN, target: str = "/", **more: Any
) -> httpx.Response:
    return viewer.post("/sign-in", data={"token": token, "next": target}, **more)


def cookie(answer: httpx.Response) -> Morsel[str]:
    return SimpleCookie(answer.headers["set-cookie"])[COOKIE]


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
    assert not about["secure"]
    assert OWN not in about.value
    host = str(guarded.base_url.netloc.decode())
    secure = sign_in(guarded, headers={"Origin": f"https://{host}"})
    assert cookie(secure)["secure"]


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
    assert sign_in(guarded, target=target).headers["location"] == "/"
    assert 'name="next" value="/"' in guarded.get(f"/sign-in?next={quote(target)}").text


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
        assert sign_in(guarded, token).status_code in {401, 429}
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
    assert COOKIE not in guarded.cookies
    guarded.cookies.update(held)
    assert guarded.get("/api/recordings").status_code == 401


def test_signing_in_again_gives_another_session(guarded: httpx.Client) -> None:
    first = cookie(sign_in(guarded)).value
    second = cookie(sign_in(guarded)).value
    assert first != second
    guarded.cookies.clear()
    guarded.cookies.set(COOKIE, first)
    assert guarded.get("/api/recordings").status_code == 401


def test_the_own_token_wins_where_one_is_lent(viewer: httpx.Client, records: FakeRecords) -> None:
    assert viewer.get("/session").json() == {"signed_in": False, "required": False}
    viewer.get("/api/recordings")
    assert records.asked[-1].headers["authorization"] == f"Bearer {SECRET}"
    sign_in(viewer, headers={"Origin": str(viewer.base_url).rstrip("/")})
    viewer.get("/api/recordings")
    assert records.asked[-1].headers["authorization"] == f"Bearer {OWN}"


def test_guessing_has_to_wait(guarded: httpx.Client, records: FakeRecords) -> None:
    # The last of this file: whoever comes from this address has to wait now.
    records.status = 401
    answers = [sign_in(guarded).status_code for _ in range(TRIES + 2)]
    assert answers[-1] == 429
    asked = len(records.asked)
    answer = sign_in(guarded)
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert len(records.asked) == asked
