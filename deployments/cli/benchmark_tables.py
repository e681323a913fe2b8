"""The tables of ``ranvier benchmark records`` and ``ranvier benchmark viewer``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flows.benchmark_records import RecordsBenchmark
    from flows.benchmark_viewer import ViewerBenchmark

Calls = Mapping[str, Mapping[str, float]]
PROGRAMS = {
    "key": "ranvier, key at reading pace",
    "jump": "ranvier, jump to a page never seen",
    "scatter": "plain Dash, `Scatter` (SVG)",
    "scattergl": "plain Dash, `Scattergl`",
    "ours": "ranvier, empty browser cache",
    "ours again": "ranvier, opened again",
}
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


def viewer_tables(measured: ViewerBenchmark) -> Iterator[str]:
    """Yield the lines of all tables but the last, of the bounds."""
    figures, sizes, machine = measured.figures, measured.sizes, measured.machine
    loads = [f"{load:.1f}" for load in (machine["load_before"][0], machine["load_after"][0])]
    yield (
        f"{machine['processors']} processors, load average {loads[0]} before and {loads[1]} after. "
        f"Chromium {machine['browser']}, headless, 1600 x 1000, no graphics card. Made night: "
        f"{sizes.hours:g} h, 23 channels at 256 Hz, its seizures marked. A page is read for "
        f"{sizes.pace_ms / 1e3:g} s."
    )
    yield from _turns(figures["turns"])
    yield f"\n| First page of {sizes.hours:g} h, services running | p50 / min / max s | Opened |"
    yield "| --- | ---: | ---: |"
    for name, opened in figures["first_page"].items():
        spread = [f"{opened[each] / 1e3:.2f}" for each in ("p50_ms", "min_ms", "max_ms")]
        yield f"| {PROGRAMS[name]} | {' / '.join(spread)} | {opened['opened']} |"
    yield from _through(figures)
    yield ""


def _turns(turns: Mapping[str, Any]) -> Iterator[str]:
    yield (
        "\n| Page | Program | Event to pixels, p50 / p95 / min ms | Drawn, p50 ms "
        "| Browser CPU ms | Services CPU ms | Bytes | Turns | Against ranvier |"
    )
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for length, programs in turns.items():
        ours = programs["key"]["p50_ms"]
        for name in ("key", "jump", "scatter", "scattergl"):
            call = programs[name]
            spread = [f"{call[each]:.0f}" for each in ("p50_ms", "p95_ms", "min_ms")]
            yield (
                f"| {length} s | {PROGRAMS[name]} | {' / '.join(spread)} | {call['drawn_ms']:.0f} "
                f"| {call['browser_ms']:.0f} | {call['services_ms']:.0f} | {call['bytes']:,} "
                f"| {call['turns']} | {call['p50_ms'] / ours:.1f} x |"
            )


def _through(figures: Mapping[str, Any]) -> Iterator[str]:
    yield (
        "\n| Paging without reading | Pages | Event to pixels, p50 / p95 / max ms | Pages/s "
        "| Longest task ms, while the overview loads / then | Memory of the page, MB |"
    )
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for length, call in figures["through"].items():
        spread = [f"{call[each]:.0f}" for each in ("p50_ms", "p95_ms", "max_ms")]
        yield (
            f"| pages of {length} s, to {call['at_s'] / 3600:.1f} h | {call['turns']:,} "
            f"| {' / '.join(spread)} | {call['turns'] / call['elapsed_s']:.1f} "
            f"| {call['opening_task_ms']:.0f} / {call['longest_task_ms']:.0f} "
            f"| {call['heap_before_mb']:.1f}, then "
            f"{call['heap_after_mb']:.1f} |"
        )
    held = figures["held"]
    yield (
        f"\nA key held for {held['seconds']:g} s: {held['keys']} key events, {held['draws']} pages "
        f"drawn, the rest overtaken; longest pause between two {held['longest_pause_ms']:.0f} ms, "
        f"the last one drawn {held['last_ms']:.0f} ms after the last event, longest task "
        f"{held['longest_task_ms']:.0f} ms."
    )
