"""Recordings as tables for people."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from deployments.cli.report import counted, readable_bytes
from tasks.results import (
    DescribedChannel,
    DescribedGroup,
    DescribedRecording,
    ListedRecording,
)

LEVELS = "▁▂▃▄▅▆▇█"
GAP = "·"
MOST_ANNOTATIONS = 20
PIPED_COLUMNS = 140


def readable_time(seconds: float) -> str:
    """Return a duration as people write it."""
    if seconds < 60:
        return f"{seconds:.4g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def wide_console() -> Console:
    """Return what prints to stdout; where that is no terminal, lines are not broken early."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_COLUMNS)


def print_recordings(found: Sequence[ListedRecording]) -> None:
    """Print a list of recordings."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("patient", "recording"):
        table.add_column(name, overflow="fold")
    for name in ("state", "start (UTC)"):
        table.add_column(name, no_wrap=True)
    for name in ("length", "ch", "Hz", "size"):
        table.add_column(name, justify="right", no_wrap=name != "Hz")
    for one in found:
        table.add_row(
            Text(one.patient_id),
            Text(one.recording_id),
            one.state,
            (one.start_time or "unknown")[:16].replace("T", " "),
            readable_time(one.duration_sec),
            str(one.channel_count),
            " ".join(f"{rate:.6g}" for rate in sorted(set(one.rates_hz), reverse=True)),
            readable_bytes(one.size_bytes),
        )
    wide_console().print(table)
    size = readable_bytes(sum(one.size_bytes for one in found))
    print(f"{counted(len(found), 'recording')}, {size}")


def print_recording(described: DescribedRecording) -> None:
    """Print all that there is to say of a recording."""
    one = described.recording
    console = wide_console()

    def say(line: str) -> None:
        console.print(Text(line))

    say(f"{one.recording_id} of {one.patient_id}: {one.state}, {one.kind}, {one.uuid}")
    say(
        f"  starts {one.start_time or 'at an unknown time'}, lasts "
        f"{readable_time(one.duration_sec)}, takes {readable_bytes(one.size_bytes)}"
    )
    say(f"  chain of {described.rows:,} rows, head {described.head[:16]}")
    if described.source_sha256:
        say(f"  came from a file of SHA-256 {described.source_sha256[:16]}")
    for note in described.notes:
        say(f"  note: {note}")
    for group in described.groups:
        _print_group(console, group)
    if described.annotations:
        say(f"annotations: {len(described.annotations)}")
    for annotation in described.annotations[:MOST_ANNOTATIONS]:
        lasts = annotation["duration"]
        until = "" if lasts is None else f" for {lasts:g} s"
        beyond = ", beyond the end" if annotation["beyond_end"] else ""
        say(
            f"  {annotation['onset']:.3f} s{until}: {annotation['text']} "
            f"({annotation['kind']} by {annotation['source']}{beyond})"
        )
    if len(described.annotations) > MOST_ANNOTATIONS:
        say(f"  and {len(described.annotations) - MOST_ANNOTATIONS} more; all of them with --json")


def _print_group(console: Console, group: DescribedGroup) -> None:
    count = len(group.gaps)
    gaps = f", {count} {'gap' if count == 1 else 'gaps'}" if count else ""
    table = Table(
        title=f"{group.name} at {group.rate_hz:.10g} Hz: {group.samples:,} samples of each "
        f"channel, {group.dtype}{gaps}",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("channel", overflow="fold")
    table.add_column("lowest", justify="right")
    table.add_column("highest", justify="right")
    table.add_column("unit")
    table.add_column("swing, from start to end", no_wrap=True)
    for channel in group.channels:
        if not channel.dummy:
            table.add_row(
                Text(channel.key),
                _number(channel.lowest),
                _number(channel.highest),
                Text(channel.unit),
                sparkline(channel),
            )
    console.print(table)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def sparkline(channel: DescribedChannel) -> str:
    """Return the swing of each stretch of a channel as a row of bars; gaps as dots."""
    swings = [None if one is None else one[1] - one[0] for one in channel.course]
    largest = max((swing for swing in swings if swing is not None), default=0.0)
    return "".join(
        GAP
        if swing is None
        else LEVELS[min(len(LEVELS) - 1, int(swing / largest * len(LEVELS)))]
        if largest
        else LEVELS[0]
        for swing in swings
    )
