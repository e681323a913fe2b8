"""The tables of ``ranvier benchmark records``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flows.benchmark_records import RecordsBenchmark

Calls = Mapping[str, Mapping[str, float]]
LATENCY = "p50 / p99 / min ms"


def records_tables(measured: RecordsBenchmark) -> Iterator[str]:
    """Yield the lines of all tables but the last, of the bounds."""
    from flows.benchmark_records_targets import HTTP_SIDES, READ_SIDES, SIDES

    figures, sizes, machine = measured.figures, measured.sizes, measured.machine
    loads = [f"{load:.1f}" for load in (machine["load_before"][0], machine["load_after"][0])]
    yield (
        f"{machine['processors']} processors, load average {loads[0]} before and {loads[1]} after. "
        f"Made night: {sizes.hours:g} h, {measured.night['bytes']:,} bytes, entropy of the first "
        f"differences {measured.night['entropy_bit']:.2f} bit. The rows hold its first "
        f"{sizes.row_hours:g} h. {figures['check']['samples compared']:,} samples compared: all "
        f"answer the same numbers."
    )
    yield from _seed_table(measured)
    yield from _calls("1 s chunk, 23 channels, over HTTP, durable", SIDES, figures["ingest"])
    batches = figures["batches"]
    yield f"\n{batches['clients']} clients with {SIDES['ours batch']}, {batches['per_batch']} "
    yield f"chunks each time: {batches['chunks_per_s']:,.0f} chunks/s."
    for length, calls in figures["windows"].items():
        yield from _calls(f"{length} s window, in process", READ_SIDES, calls)
    for length, calls in figures["http"].items():
        yield from _calls(f"{length} s window, over HTTP", HTTP_SIDES, calls)
    drawn = {"in process": "in process", "HTTP": "over HTTP"}
    yield from _calls(f"{sizes.hours:g} h at 2,000 pixels", drawn, figures["overview"])
    yield from _storage(measured)
    yield from _batch(measured)
    yield ""


def _seed_table(measured: RecordsBenchmark) -> Iterator[str]:
    figures, sizes = measured.figures, measured.sizes
    yield f"\n| Operation | Window | Program | Latency, {LATENCY} | CPU ms | Bytes | Notes |"
    yield "| --- | --- | --- | ---: | ---: | ---: | --- |"
    loaded = f"{sizes.more_hours:g} h each, of rows {sizes.more_row_hours:g} h each"
    for job, notes in (
        ("seed_table", "1 recording loaded"),
        ("seed_table_10", f"10 recordings loaded, the others {loaded}"),
    ):
        for window, calls in figures[job].items():
            length, _, one = window.partition(" ")
            which = "single channel" if one else "all 23 channels"
            for name, call in calls.items():
                yield (
                    f"| Query | {length} s | {name} | {_latency(call)} | {call['cpu_ms']:.1f} "
                    f"| {call['bytes']:,} | {which}, {notes} |"
                )
    ingest = figures["ingest"]
    for name, call in ingest.items():
        yield (
            f"| Ingest | 1 chunk | {name} | {_latency(call)} | {call['cpu_ms']:.1f} "
            f"| {call['bytes']:,} | 23 ch x 256 samples |"
        )
    for name in ("rows orm", "rows core"):
        seconds = 3.6 * ingest[name]["p50_ms"]
        yield _full(name, 3600, seconds, "3,600 chunks, **extrapolated** from one")
    rows, ours = figures["load"]["rows"], figures["full_file"]
    yield _full(
        "rows copy, in process", rows["chunks"], rows["wall_s"], f"CPU {rows['cpu_s']:.0f} s"
    )
    yield _full("ours json declared", ours["chunks"], ours["wall_s"], f"CPU {ours['cpu_s']:.0f} s")


def _full(name: str, chunks: int, seconds: float, notes: str) -> str:
    rate = chunks * 23 * 256 / seconds
    return (
        f"| Ingest | Full file, {chunks:,} chunks | {name} | {1e3 * seconds:,.0f} |  |  "
        f"| {rate:,.0f} samples/s; {notes} |"
    )


def _calls(title: str, names: Mapping[str, str], calls: Calls) -> Iterator[str]:
    yield f"\n| {title} | Program | {LATENCY} | CPU ms | Bytes | Calls |"
    yield "| --- | --- | ---: | ---: | ---: | ---: |"
    for name, call in calls.items():
        yield (
            f"| {name} | {names.get(name, name)} | {_latency(call)} | {call['cpu_ms']:.2f} "
            f"| {call['bytes']:,} | {call['calls']} |"
        )


def _latency(call: Mapping[str, float]) -> str:
    return f"{call['p50_ms']:.2f} / {call['p99_ms']:.2f} / {call['min_ms']:.2f}"


def _storage(measured: RecordsBenchmark) -> Iterator[str]:
    peers = measured.figures["storage"]
    yield "\n| Storage | Bytes per sample | Parts |"
    yield "| --- | ---: | --- |"
    rows = {part: size / peers["row samples"] for part, size in peers["rows"].items()}
    yield f"| rows | {sum(rows.values()):.1f} | {_listed(rows)} |"
    yield f"| blobs, one row per second | {peers['blobs'] / peers['samples']:.3f} | |"
    for name, parts in measured.sizes_on_disk.items():
        each: dict[str, Any] = {
            part: size / parts["samples"] for part, size in parts.items() if part != "samples"
        }
        more = [
            f"{part} {100 * parts[part] / parts['signals']:.1f} %"
            for part in ("overview", "density")
        ]
        yield (
            f"| ours, {name} | {each['signals']:.3f} | {_listed(each)}; "
            f"of the signals: {', '.join(more)} |"
        )


def _listed(parts: Mapping[str, float]) -> str:
    return ", ".join(f"{part} {size:.3f}" for part, size in parts.items())


def _batch(measured: RecordsBenchmark) -> Iterator[str]:
    yield "\n| Batch | CPU s | wall s | memory MB | Notes |"
    yield "| --- | ---: | ---: | ---: | --- |"
    for name, cost in measured.batch.items():
        if name == "ingest":
            yield (
                f"| ranvier ingest, {measured.sizes.hours:g} h | {cost['cpu_s']:.2f} "
                f"| {cost['wall_s']:.2f} | {cost['peak_mb']:.0f} | the whole process |"
            )
        else:
            yield (
                f"| {name}, {cost['hours']:g} h | {cost['cpu_s']:.2f} | {cost['wall_s']:.2f} "
                f"| {cost['growth_mb']:.0f} | growth while reading |"
            )
