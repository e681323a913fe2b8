"""``ranvier tokens``: issued once, listed without secrets, revoked for good."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import Ran, ranvier


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def tokens(home: Path, *words: str) -> Ran:
    return ranvier("tokens", *words, env={"RANVIER_HOME": str(home)})


def test_a_token_is_shown_once_and_kept_as_a_hash(home: Path) -> None:
    added = tokens(home, "add", "ward-3", "--scope", "ingest:write", "--patient", "p17")
    assert added.code == 0, added.err
    secret = added.out.strip()
    assert len(secret) > 40
    assert "only now" in added.err
    for path in home.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes()
    (one,) = tokens(home, "list", "--json").json["tokens"]
    assert (one["name"], one["scopes"], one["patients"]) == ("ward-3", ["ingest:write"], ["p17"])
    assert one["state"] == "valid"
    assert secret not in tokens(home, "list").out
    assert "ward-3" in tokens(home, "list").out


def test_a_revoked_one_is_listed_as_such(home: Path) -> None:
    tokens(home, "add", "viewer", "--scope", "eeg:read", "--scope", "annotate", "--json")
    assert tokens(home, "revoke", "viewer").out == "revoked: viewer\n"
    assert tokens(home, "revoke", "viewer").code == 0
    (one,) = tokens(home, "list", "--json").json["tokens"]
    assert (one["state"], one["scopes"]) == ("revoked", ["annotate", "eeg:read"])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("add", "x", "--scope", "fly"), 2, "fly"),
        (("add", "x"), 2, "scope"),
        (("add", "x", "--scope", "phi", "--days", "0"), 2, "days"),
        (("revoke", "nobody"), 1, "there is none of that name"),
    ],
)
def test_what_cannot_be_is_one_line(
    home: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    failed = tokens(home, *words)
    assert failed.code == code
    assert said in failed.err


def test_a_name_is_given_once(home: Path) -> None:
    assert tokens(home, "add", "x", "--scope", "phi").code == 0
    again = tokens(home, "add", "x", "--scope", "phi")
    assert again.code == 1
    assert "choose another" in again.err
