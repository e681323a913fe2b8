"""Where recordings rest by default, and what the environment and people say instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.errors import UsageError
from storage.settings import RecordsSettings, records_settings


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "HOME", "STORE", "DATABASE_URL", "IDENTITY_KEY", "RECORDS_HOST", "RECORDS_PORT"
    ):  # fmt: skip
        monkeypatch.delenv(f"RANVIER_{name}", raising=False)
    monkeypatch.delenv("DATABASE_URL", raising=False)


def test_everything_lies_under_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RANVIER_HOME", str(tmp_path))
    settings = records_settings()
    assert settings.store_url == str(tmp_path / "store")
    assert settings.catalog_url == f"sqlite:///{tmp_path / 'catalog.db'}"
    assert settings.identity_path == tmp_path / "identity.key"
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)


def test_variables_of_others_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "HOST", "PORT", "STORE"):
        monkeypatch.setenv(name, "1")
    settings = records_settings()
    assert settings.home != Path("1")
    assert (settings.host, settings.port, settings.store) == ("127.0.0.1", 8000, None)


def test_the_alias_counts_unless_ours_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:secret@h/theirs")
    assert records_settings().catalog_url == "postgresql://u:secret@h/theirs"
    monkeypatch.setenv("RANVIER_DATABASE_URL", "postgresql://u:secret@h/ours")
    settings = records_settings()
    assert settings.catalog_url == "postgresql://u:secret@h/ours"
    assert "secret" not in repr(settings)


def test_what_a_person_gives_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RANVIER_RECORDS_PORT", "9000")
    assert records_settings(port=None).port == 9000
    assert records_settings(port=0).port == 0
    assert records_settings(store="s3://lab/x").store_url == "s3://lab/x"
    monkeypatch.chdir(tmp_path)
    assert records_settings(store="x").store_url == str(tmp_path / "x")


def test_what_is_not_understood_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANVIER_RECORDS_PORT", "many")
    with pytest.raises(UsageError, match="RANVIER_RECORDS_PORT: ") as caught:
        records_settings()
    assert "\n" not in str(caught.value)
    with pytest.raises(TypeError, match="no such setting: prot"):
        RecordsSettings(prot=1)  # type: ignore[call-arg]
