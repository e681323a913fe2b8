"""A process whose children write an output each, and die at one step after another.

``python -m tests.support.crashing_writes`` reads from stdin, as JSON, where each child is to write
(``{n}`` stands for the number of the step that it dies before), whether to overwrite, and whether
another output is to be there already. It prints the number of steps, after the first child that
came to its end.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from collections.abc import Callable
from typing import Any

from storage.buckets import BucketFolder
from storage.chunk_plan import ChunkOptions
from storage.chunk_sink import ChunkFilesSink
from storage.folders import LocalFolder
from tests.support.synthetic_recording import SyntheticGroup, SyntheticRecording

DIED = 9
STEPS = (
    (os, "rename"),
    (os, "replace"),
    (os, "unlink"),
    (LocalFolder, "append"),
    (LocalFolder, "delete_tree"),
    (BucketFolder, "write"),
    (BucketFolder, "delete"),
    (BucketFolder, "delete_tree"),
)


def recording() -> SyntheticRecording:
    """Return what is written."""
    return SyntheticRecording(
        SyntheticGroup(n_samples=3000, n_channels=1, gaps_us={5: 10**6}),
        SyntheticGroup(n_samples=300, n_channels=1, rate_hz=10.0),
        name="new",
    )


def other_recording() -> SyntheticRecording:
    """Return another, of which some files have the same names and lengths."""
    return SyntheticRecording(
        SyntheticGroup(n_samples=3000, n_channels=1, dtype="int8", gaps_us={5: 10**6}),
        SyntheticGroup(n_samples=200, n_channels=2, rate_hz=10.0),
        name="old",
    )


def options() -> ChunkOptions:
    """Return those of stored files, which have equal lengths where they have equal names."""
    return ChunkOptions(level=0, digest="sha256")


def die_before(step: int) -> None:
    """Let this process end, as if it were killed, when it comes to a step."""
    lock = threading.Lock()
    done = 0

    def hooked(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal done
            with lock:
                if done == step:
                    os._exit(DIED)
                done += 1
            return real(*arguments, **options)

        return call

    for owner, name in STEPS:
        setattr(owner, name, hooked(getattr(owner, name)))


def main() -> None:
    """Fork a child for each step until one survives."""
    order = json.load(sys.stdin)
    step = 0
    while True:
        place = order["place"].format(n=step)
        if order.get("template"):
            shutil.copytree(order["template"], place)
        child = os.fork()
        if not child:
            if order["over_another"]:
                ChunkFilesSink(place, options()).write(other_recording())
            die_before(step)
            ChunkFilesSink(place, options(), overwrite=order["overwrite"]).write(recording())
            os._exit(0)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code not in (0, DIED):
            sys.exit(f"step {step}: ended with {code}")
        if code == 0:
            break
        step += 1
    print(step)


if __name__ == "__main__":
    main()
