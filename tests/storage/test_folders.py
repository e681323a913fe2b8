"""Folders of files, on this machine and in a bucket, keep the same promises."""

from __future__ import annotations

import hashlib
import os
import random
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import buckets
from storage.buckets import ObjectFile, split_url
from storage.errors import NotFound, Unreachable, UsageError
from storage.folders import Folder, LocalFolder, open_folder
from tests.support.moto_server import MotoServer

pytestmark = pytest.mark.usefixtures("nothing_left_over")


class FolderTests:
    """Inherited by the tests of each kind of folder."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return str(tmp_path / "folder")

    @pytest.fixture
    def folder(self, url: str) -> Folder:
        return open_folder(url)

    def test_what_was_written_is_read(self, folder: Folder) -> None:
        folder.write("a/b/c.bin", [b"one", b"", bytearray(b"two"), memoryview(b"three")])
        assert folder.read("a/b/c.bin") == b"onetwothree"
        assert folder.size("a/b/c.bin") == 11
        folder.write("a/b/c.bin", [b"new"])
        assert folder.read("a/b/c.bin") == b"new"

    def test_an_empty_file_is_a_file(self, folder: Folder) -> None:
        folder.write("empty", [])
        assert folder.read("empty") == b""
        assert folder.size("empty") == 0
        assert list(folder.names()) == ["empty"]

    def test_many_and_large_buffers(self, folder: Folder) -> None:
        buffers = [bytes([number % 251]) * (number % 7) for number in range(5000)]
        buffers.append(os.urandom(3 << 20))
        folder.write("large", buffers)
        assert folder.read("large") == b"".join(buffers)

    def test_numbers_of_an_array_are_written_as_bytes(self, folder: Folder) -> None:
        import numpy as np

        folder.write("numbers", [np.arange(5, dtype=">f8").data, b"!"])
        assert folder.read("numbers") == np.arange(5, dtype=">f8").tobytes() + b"!"

    def test_what_is_not_there(self, folder: Folder) -> None:
        assert folder.size("none") is None
        assert folder.size("none/below") is None
        assert list(folder.names()) == []
        assert folder.read_log("none") == b""
        folder.delete("none")
        folder.delete_tree("none")
        for name in ("none", "none/below"):
            with pytest.raises(NotFound, match="none") as caught:
                folder.read(name)
            assert "\n" not in str(caught.value)

    def test_a_file_is_no_folder(self, folder: Folder) -> None:
        folder.write("a", [b"x"])
        assert folder.size("a/b") is None
        with pytest.raises(NotFound):
            folder.read("a/b")

    def test_names_are_found_by_their_beginning(self, folder: Folder) -> None:
        for name in ("channel-1", "channel-2", "other", "sub/channel-3", "sub/deep/x", "subtle"):
            folder.write(name, [b"x"])
        assert list(folder.names("channel-")) == ["channel-1", "channel-2"]
        assert list(folder.names("sub/")) == ["sub/channel-3", "sub/deep/x"]
        assert set(folder.names("sub")) == {"sub/channel-3", "sub/deep/x", "subtle"}
        assert len(list(folder.names())) == 6

    def test_deleting(self, folder: Folder) -> None:
        for name in ("a", "b", "tree/a", "tree/b/c", "trees"):
            folder.write(name, [b"x"])
        folder.delete("a")
        folder.delete_tree("tree")
        assert set(folder.names()) == {"b", "trees"}
        folder.write("tree/a", [b"again"])
        assert folder.read("tree/a") == b"again"
        folder.delete_tree("")
        assert list(folder.names()) == []
        folder.write("tree/a", [b"again"])
        assert list(folder.names()) == ["tree/a"]

    def test_a_log_keeps_its_records_in_order(self, url: str) -> None:
        records = [b'{"n": %d}' % number for number in range(25)]
        for number, record in enumerate(records):
            # Each by another writer, as after a restart.
            writer = open_folder(url)
            writer.append("logs/run.jsonl", record)
            if number % 10 == 0:
                assert (
                    open_folder(url).read_log("logs/run.jsonl").splitlines()
                    == (records[: number + 1])
                )
        assert open_folder(url).read_log("logs/run.jsonl").splitlines() == records

    def test_two_logs_do_not_mix(self, folder: Folder) -> None:
        folder.append("logs/a", b"1")
        folder.append("logs/ab", b"2")
        folder.append("logs/a", b"3")
        assert folder.read_log("logs/a") == b"1\n3\n"
        assert folder.read_log("logs/ab") == b"2\n"

    def test_a_signature_changes_with_the_content(self, folder: Folder) -> None:
        seen = [folder.signature()]
        folder.write("a", [b"1"])
        seen.append(folder.signature())
        folder.write("b/c", [b"1"])
        seen.append(folder.signature())
        folder.write("a", [b"12"])
        seen.append(folder.signature())
        folder.delete("b/c")
        seen.append(folder.signature())
        assert len(set(seen)) == 5
        assert folder.signature() == seen[-1]

    def test_several_threads_write_at_once(self, folder: Folder) -> None:
        def write(number: int) -> None:
            folder.write(f"{number % 5}/{number}", [b"%d" % number])

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(60)))
        assert len(list(folder.names())) == 60
        assert all(folder.read(name) == name.rpartition("/")[2].encode() for name in folder.names())

    @given(st.dictionaries(st.text("abcd/", min_size=1, max_size=6), st.binary(max_size=9)))
    @settings(
        max_examples=25,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture, HealthCheck.differing_executors,
        ],
    )  # fmt: skip
    def test_it_behaves_as_a_dictionary(self, url: str, content: dict[str, bytes]) -> None:
        kept: dict[str, bytes] = {}
        for drawn, data in content.items():
            name = "/".join(part for part in drawn.split("/") if part)
            below = [k for k in kept if k.startswith(f"{name}/") or name.startswith(f"{k}/")]
            if name and not below:
                kept[name] = data
        place = f"{url}/{hashlib.sha256(repr(kept).encode()).hexdigest()[:16]}"
        folder = open_folder(place)
        for name, data in kept.items():
            folder.write(name, [data])
        assert {name: folder.read(name) for name in open_folder(place).names()} == kept


class TestLocalFolder(FolderTests):
    def test_a_file_appears_whole_or_not_at_all(
        self, folder: Folder, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder.write("a", [b"old"])

        def full(descriptor: int, buffers: Any) -> int:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "writev", full)
            with pytest.raises(OSError, match="No space"):
                folder.write("a", [b"new"])
        assert folder.read("a") == b"old"
        assert os.listdir(url) == ["a"]

    def test_short_writes_are_finished(
        self, folder: Folder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = os.writev
        monkeypatch.setattr(
            os,
            "writev",
            lambda fd, parts: real(fd, [parts[0][: max(1, len(parts[0]) // 2)]]),
        )
        content = [os.urandom(size) for size in (5000, 1, 70_000)]
        folder.write("a", content)
        assert folder.read("a") == b"".join(content)

    def test_what_a_crash_left_half_written_is_not_listed(self, folder: Folder, url: str) -> None:
        folder.write("a", [b"x"])
        (Path(url) / "b.part").write_bytes(b"half")
        assert list(folder.names()) == ["a"]

    @pytest.mark.parametrize("cut", range(1, 12))
    def test_a_log_cut_short_by_a_crash_loses_its_last_record_only(
        self, url: str, cut: int
    ) -> None:
        folder = open_folder(url)
        for record in (b'{"n": 1}', b'{"n": 2}', b'{"n": 3}'):
            folder.append("log", record)
        path = Path(url) / "log"
        path.write_bytes(path.read_bytes()[:-cut])
        whole = [b'{"n": 1}', b'{"n": 2}'][: 2 if cut <= 9 else 1]
        assert open_folder(url).read_log("log").splitlines() == whole
        open_folder(url).append("log", b'{"n": 4}')
        assert open_folder(url).read_log("log").splitlines() == [*whole, b'{"n": 4}']

    def test_a_record_is_one_line(self, folder: Folder) -> None:
        with pytest.raises(ValueError, match="one line"):
            folder.append("log", b"a\nb")

    def test_a_relative_path_is_made_absolute_at_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        folder = LocalFolder(Path("here"))
        monkeypatch.chdir("/")
        folder.write("a", [b"x"])
        assert (tmp_path / "here" / "a").exists()

    def test_nothing_is_made_by_looking(self, folder: Folder, url: str) -> None:
        folder.size("a")
        list(folder.names())
        folder.signature()
        assert not Path(url).exists()


class TestBucketFolder(FolderTests):
    @pytest.fixture
    def url(self, bucket_url: str) -> str:
        return bucket_url

    def test_more_objects_than_a_page_are_listed_and_deleted(
        self, folder: Folder, url: str, moto: MotoServer
    ) -> None:
        prefix = url.removeprefix(f"s3://{moto.bucket}/")
        for number in range(1100):
            moto.s3.put_object(Bucket=moto.bucket, Key=f"{prefix}/many/{number:05d}", Body=b"")
        assert list(folder.names("many/")) == [f"many/{number:05d}" for number in range(1100)]
        folder.delete_tree("many")
        assert list(folder.names()) == []

    def test_its_neighbours_are_not_its_own(self, folder: Folder, url: str) -> None:
        folder.write("a", [b"x"])
        open_folder(f"{url}-other").write("b", [b"x"])
        assert list(open_folder(url).names()) == ["a"]
        folder.delete_tree("")
        assert list(open_folder(f"{url}-other").names()) == ["b"]

    def test_a_bucket_that_is_not_there_is_one_line(self, moto: MotoServer, url: str) -> None:
        folder = open_folder("s3://no-such-bucket-here/prefix")
        with pytest.raises(NotFound, match=r"no-such-bucket-here.*no such bucket") as caught:
            folder.write("a", [b"x"])
        assert "\n" not in str(caught.value)
        assert folder.size("a") is None


def test_objects_are_read_by_ranges(bucket_url: str) -> None:
    content = os.urandom((5 << 20) + 17)
    open_folder(bucket_url).write("big", [content])
    rng = random.Random(5)
    with ObjectFile(f"{bucket_url}/big") as file:
        assert file.size == len(content)
        assert file.tag
        places = [(0, 10), (4 << 20, 100), (5, 3 << 20), (len(content) - 3, 10), (1 << 20, 1 << 20)]
        places += [
            (rng.randrange(len(content) + 10), rng.choice([0, 1, 100, 1 << 20, 3 << 20]))
            for _ in range(40)
        ]
        for at, length in places:
            assert file.seek(at) == at
            assert file.read(length) == content[at : at + length]
            assert file.tell() == min(max(at, len(content)), at) + len(content[at : at + length])
        assert file.seek(-5, os.SEEK_END) == len(content) - 5
        assert file.read() == content[-5:]
        assert file.seek(0) == 0
        assert file.seek(3, os.SEEK_CUR) == 3
    with pytest.raises(NotFound):
        ObjectFile(f"{bucket_url}/none")


def test_the_tag_of_an_object_is_of_its_content(bucket_url: str) -> None:
    tags = []
    for content in (b"one", b"two", b"one"):
        open_folder(bucket_url).write("a", [content])
        with ObjectFile(f"{bucket_url}/a") as file:
            tags.append(file.tag)
    assert tags[0] == tags[2] != tags[1]


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("s3://bucket", ("bucket", "")),
        ("s3://bucket/", ("bucket", "")),
        ("s3://bucket/a/b/", ("bucket", "a/b")),
        ("s3://bucket/a b", ("bucket", "a b")),
    ],
)
def test_urls_are_split(url: str, parts: tuple[str, str]) -> None:
    assert split_url(url) == parts


@pytest.mark.parametrize("url", ["s3://", "s3:///key", "http://bucket/key", "/local"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(UsageError, match="s3://bucket/folder"):
        split_url(url)


def test_the_door_is_not_loaded_before_it_is_used() -> None:
    import subprocess
    import sys

    code = "import storage.folders, sys; assert not {'obstore', 'boto3'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(buckets.__file__).parents[1])


def test_a_store_that_does_not_answer_is_worth_another_try(
    bucket_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    with pytest.raises(Unreachable, match="try again later"):
        open_folder(bucket_url).read("a")


def test_names_below_a_prefix_are_looked_for_only_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = LocalFolder(tmp_path)
    for name in ("a/b/one", "a/bc/two", "a/three", "d/four"):
        folder.write(name, [b""])
    walked: list[str] = []
    real = os.walk

    def walk(top: Path) -> Iterator[tuple[str, list[str], list[str]]]:
        for each in real(top):
            walked.append(each[0])
            yield each

    monkeypatch.setattr(os, "walk", walk)
    assert list(folder.names("a/b/")) == ["a/b/one"]
    assert walked == [str(tmp_path / "a" / "b")]
    assert list(folder.names("a/b")) == ["a/b/one", "a/bc/two"]
    assert list(folder.names("none/")) == []
    assert list(folder.names()) == ["a/three", "a/b/one", "a/bc/two", "d/four"]
