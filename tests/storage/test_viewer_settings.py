"""Where the viewer listens by default, and what the environment and people say instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.errors import UsageError
from storage.settings import viewer_settings

NAMES = (
    "HOME", "VIEWER_HOST", "VIEWER_PORT", "RECORDS_URL", "TOKEN", "VIEWER_MONTAGES",
    "VIEWER_SIGN_IN", "VIEWER_CERTIFICATE", "VIEWER_PRIVATE_KEY", "VIEWER_ORIGIN",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(f"RANVIER_{name}", raising=False)


def test_it_listens_here_and_asks_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RANVIER_HOME", str(tmp_path))
    settings = viewer_settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 8050)
    assert settings.records_url == "http://127.0.0.1:8000"
    assert settings.montages_path == tmp_path / "montages"
    assert settings.token is None
    assert settings.sign_in is None


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    values = (
        *("0.0.0.0", "9", "https://ward/records/", "rvt_x\n", str(tmp_path), "true", "c", "k"),
        "https://EEG.example.org/",
    )
    for name, value in zip(NAMES[1:], values, strict=True):
        monkeypatch.setenv(f"RANVIER_{name}", value)
    settings = viewer_settings(port=7)
    assert (settings.host, settings.port) == ("0.0.0.0", 7)
    assert settings.records_url == "https://ward/records"
    assert settings.token is not None
    assert settings.token.get_secret_value() == "rvt_x"
    assert "rvt_x" not in repr(settings)
    assert settings.sign_in is True
    assert settings.montages_path == tmp_path
    assert settings.certificate == Path("c").absolute()
    assert settings.private_key == Path("k").absolute()
    assert settings.origin == "https://eeg.example.org"


def test_variables_of_others_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOST", "PORT", "TOKEN", "MONTAGES", "SIGN_IN"):
        monkeypatch.setenv(name, "1")
    settings = viewer_settings()
    assert (settings.host, settings.port, settings.token) == ("127.0.0.1", 8050, None)


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://x", "127.0.0.1:8000", "http://", "http://x/?a=hidden", "http://u:hidden@x", "x"),
        *("http://reader:hidden#x@ward-7:8000", "http://user:hi/dden@host", "http://h:hidden"),
        *(
            "http://h:99999",
            "http://h:0",
            "http://h/#hidden",
            " http://h",
            "http://h h",
            "http://:8",
        ),
        *("http://h\\hidden", "http://[::1", "http://h\n"),
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="RANVIER_RECORDS_URL") as refused:
        viewer_settings(records_url=url)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    ["http://h:1", "https://h", "http://[::1]:8000", "http://h/of/the%20ward", "http://10.0.0.1"],
)
def test_what_is_an_address_is_taken(url: str) -> None:
    assert viewer_settings(records_url=url).records_url == url


def test_what_is_said_is_left_as_it_is() -> None:
    with pytest.raises(UsageError, match="give RANVIER_TOKEN instead"):
        viewer_settings(records_url="http://u:hidden@x")


@pytest.mark.parametrize("token", [" ", "rvt_hidden\nrvt_hidden", "rvt_hiddenä", "x" * 501])
def test_what_is_no_token_is_refused(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANVIER_TOKEN", token)
    with pytest.raises(UsageError, match="RANVIER_TOKEN: expected a token") as refused:
        viewer_settings()
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize("url", ["eeg.example.org", "https://h/path", "https://u:p@h", "ftp://h"])
def test_what_is_no_origin_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="RANVIER_VIEWER_ORIGIN: expected an address without"):
        viewer_settings(origin=url)
