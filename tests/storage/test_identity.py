"""What names a person is sealed with a key of its own."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import NotFound, StorageError
from storage.identity import IdentityKey

CONTEXT = "12345678-1234-5678-1234-567812345678/identity"


@pytest.fixture
def key(tmp_path: Path) -> IdentityKey:
    return IdentityKey.load_or_create(tmp_path / "identity.key")


def test_what_was_sealed_is_opened(key: IdentityKey) -> None:
    person = b"X F 01-JAN-1980 Jane_Doe".ljust(160)
    sealed = key.seal(person, CONTEXT)
    assert b"Jane" not in sealed
    assert key.open(sealed, CONTEXT) == person
    assert key.seal(person, CONTEXT) != sealed
    assert key.open(key.seal(b"", CONTEXT), CONTEXT) == b""


def test_the_key_is_made_once_for_the_owner_alone(tmp_path: Path) -> None:
    place = tmp_path / "new" / "identity.key"
    keys: list[IdentityKey] = []
    barrier = threading.Barrier(8)

    def load() -> None:
        barrier.wait()
        keys.append(IdentityKey.load_or_create(place))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert [one.name for one in place.parent.iterdir()] == ["identity.key"]
    sealed = keys[0].seal(b"x", CONTEXT)
    assert [one.open(sealed, CONTEXT) for one in keys] == [b"x"] * 8


def test_another_key_does_not_open(key: IdentityKey, tmp_path: Path) -> None:
    other = IdentityKey.load_or_create(tmp_path / "other.key")
    said = rf"was sealed with the key {key.id}, and .*other\.key holds {other.id}; bring"
    with pytest.raises(StorageError, match=said):
        other.open(key.seal(b"x", CONTEXT), CONTEXT)


def test_its_id_tells_which_key_it_is_and_nothing_of_it(key: IdentityKey, tmp_path: Path) -> None:
    assert IdentityKey.load(tmp_path / "identity.key").id == key.id
    assert IdentityKey.load_or_create(tmp_path / "other.key").id != key.id
    assert len(bytes.fromhex(key.id)) == 8
    assert key.id not in (tmp_path / "identity.key").read_text()


def test_it_opens_for_its_own_recording_only(key: IdentityKey) -> None:
    with pytest.raises(StorageError, match="sealed for another recording"):
        key.open(key.seal(b"x", CONTEXT), CONTEXT.replace("1234", "4321"))


@given(place=st.integers(0, 4 + 8 + 12 + 13 + 16 - 1), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found(place: int, bit: int) -> None:
    key = IdentityKey(bytes(32), "here")
    sealed = bytearray(key.seal(b"0123456789abc", CONTEXT))
    sealed[place] ^= 1 << bit
    with pytest.raises(StorageError):
        key.open(bytes(sealed), CONTEXT)


@pytest.mark.parametrize(
    "content", [b"", b"RVI1", b"RVI1" + bytes(11), b"RVI1" + bytes(30), b"clear text"]
)
def test_what_was_never_sealed_is_refused(key: IdentityKey, content: bytes) -> None:
    with pytest.raises(StorageError, match=CONTEXT):
        key.open(content, CONTEXT)


@pytest.mark.parametrize("content", [b"", b"ab" * 31, b"zz" * 32, b"\xff" * 32, bytes(32)])
def test_a_file_that_is_no_key_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    place = tmp_path / "identity.key"
    place.write_bytes(content)
    place.chmod(0o600)
    with pytest.raises(StorageError, match="no identity key; expected 64 hexadecimal digits"):
        IdentityKey.load_or_create(place)
    assert place.read_bytes() == content


def test_a_key_that_others_can_read_is_refused(key: IdentityKey, tmp_path: Path) -> None:
    place = tmp_path / "identity.key"
    place.chmod(0o640)
    with pytest.raises(StorageError, match=r"mode 640.*chmod 600"):
        IdentityKey.load(place)


def test_a_missing_key_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="backed up"):
        IdentityKey.load(tmp_path / "identity.key")
    with pytest.raises(StorageError, match="cannot be read"):
        IdentityKey.load_or_create(tmp_path)


def test_pseudonyms_are_steady_and_tell_nothing(key: IdentityKey, tmp_path: Path) -> None:
    again = IdentityKey.load(tmp_path / "identity.key")
    other = IdentityKey.load_or_create(tmp_path / "other.key")
    assert key.pseudonym(b"Jane") == again.pseudonym(b"Jane")
    assert len({one.pseudonym(b"Jane") for one in (key, other)} | {key.pseudonym(b"Jo")}) == 3
    assert len(key.pseudonym(b"Jane")) == 16
    assert int(key.pseudonym(b"Jane"), 16)
