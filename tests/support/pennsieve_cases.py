"""Outputs to upload, targets to upload them to, and what the platform must have afterwards."""

from __future__ import annotations

import gzip
import hashlib
import json
import struct
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from storage.folders import LocalFolder
from storage.pennsieve import Client, Patience, Target
from tests.support.pennsieve_api import PennsieveApi

START_US = 1_714_979_289_123_456
QUICK = Patience(connect_s=10, read_s=20, attempts=6, first_delay_s=0.001, longest_delay_s=0.01)
DEADLINE_S = 30.0
# Two doubles in a gzip member that is not compressed.
CHUNK_BYTES = 39

MakeOutput = Callable[..., LocalFolder]
Connect = Callable[..., Client]


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that happens elsewhere."""
    due = time.monotonic() + DEADLINE_S
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < due, f"not within {DEADLINE_S:g} s: {what}"
        pause.wait(0.005)


def run_target(server: PennsieveApi) -> Target:
    """Return the target of a new workflow run with a package of its own."""
    package = server.platform.add_package()
    run = server.platform.add_run([package.id])
    return Target(run, server.platform.runs[run]["datasetId"], package.id)


def channel_metadata(index: int, **changes: Any) -> dict[str, Any]:
    """Return the metadata of a channel as the converter writes it."""
    return {
        "name": f"CH{index:03d}",
        "start": START_US,
        "end": START_US + 9_999_999,
        "unit": "uV",
        "rate": 30000.0,
        "type": "CONTINUOUS",
        "group": "shank1",
        "lastAnnotation": 0,
        "properties": [],
        **changes,
    }


def chunk(value: float, samples: int = 2) -> bytes:
    """Return a chunk file's bytes: a gzip member of big-endian doubles."""
    return gzip.compress(struct.pack(f">{samples}d", *[value] * samples), 0, mtime=0)


def write_output(
    path: Path, channels: int, chunks: int, *, digest: str = "sha256", salt: float = 0.0
) -> LocalFolder:
    """Write an output as the converter does; ``salt`` changes the content of every chunk."""
    output = LocalFolder(path)
    entries = []
    for index in range(channels):
        for number in range(chunks):
            start = START_US + number * 100_000
            name = f"channel-{index:05d}_{start}_{start + 99_999}.bin.gz"
            content = chunk(index * chunks + number + salt)
            output.write(name, [content])
            entry: dict[str, Any] = {"name": name, "samples": 2, "bytes": len(content)}
            if digest == "sha256":
                entry["sha256"] = hashlib.sha256(content).hexdigest()
            else:
                entry["crc32"] = f"{zlib.crc32(gzip.decompress(content)):08x}"
            entries.append(entry)
        described = json.dumps(channel_metadata(index)).encode()
        name = f"channel-{index:05d}.metadata.json"
        output.write(name, [described])
        sha256 = hashlib.sha256(described).hexdigest()
        entries.append({"name": name, "bytes": len(described), "sha256": sha256})
    manifest = {"format": "chunked-gz", "version": 1, "files": entries}
    output.write("manifest.json", [json.dumps(manifest).encode()])
    return output


def local_digests(server: PennsieveApi, target: Target, output: LocalFolder) -> dict[str, str]:
    """Return the MD5 of each chunk file by the path that it should have on the platform."""
    package = server.platform.packages[target.package_id]
    ids = {
        channel["content"]["name"]: channel["content"]["id"]
        for channel in package.channels.values()
    }
    found = {}
    for name in output.names():
        if name.endswith(".bin.gz"):
            index, _, times = name.removeprefix("channel-").partition("_")
            path = f"{ids[f'CH{int(index):03d}']}_{times}"
            found[path] = hashlib.md5(output.read(name)).hexdigest()
    return found


def assert_complete(server: PennsieveApi, target: Target, output: LocalFolder) -> None:
    """Every file is there, once, as it is here."""
    arrived = server.arrived
    assert all(len(copies) == 1 for copies in arrived.values())
    assert {path: copies[0].md5 for path, copies in arrived.items()} == local_digests(
        server, target, output
    )
