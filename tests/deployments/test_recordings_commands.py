"""``ranvier recordings``: list, show, verify, seal, export."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyedflib
import pytest

from storage.catalog import NewChannel, NewGroup, NewRecording
from storage.edf import EdfSource
from storage.geometry import choose_geometry
from storage.nwb import NwbSource
from storage.recording_store import NewChunk, RecordingStore
from storage.settings import RecordsSettings
from storage.spans import Span
from tests.support.command_line import Ran, ranvier
from tests.support.edf_files import SignalSpec, signals, write_edf

GAPPED = "gapped.edf"


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write recordings: plain ones, and one with a gap, two rates, and annotations."""
    folder = tmp_path_factory.mktemp("in") / "ward3"
    folder.mkdir()
    write_edf(folder / "a.edf", signals=signals(3), records=20)
    write_edf(folder / "b.bdf", signals=signals(2), records=5, bdf=True, plus="C")
    write_edf(
        folder / GAPPED,
        signals=(*signals(2), SignalSpec(label="Resp", samples=32, dimension="mV")),
        records=12,
        plus="D",
        gaps={6: "100"},
        annotations=[(2.5, 1.25, "eyes closed"), (108, None, "spike [1]")],
    )
    return folder


@pytest.fixture(scope="module")
def home(ward: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Take them all into a store."""
    home = tmp_path_factory.mktemp("home")
    done = ranvier("ingest", str(ward), env={"RANVIER_HOME": str(home)})
    assert done.code == 0, done.err
    return home


def recordings(home: Path, *words: str) -> Ran:
    return ranvier("recordings", *words, env={"RANVIER_HOME": str(home)})


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """Make a store with one live recording of ten seconds."""
    settings = RecordsSettings(home=tmp_path / "live")
    with RecordingStore.open(
        settings.store_url, settings.catalog_url, settings.identity_path
    ) as store:
        shape = choose_geometry(Fraction(100), 2, 2)
        group = NewGroup(
            name="100 Hz",
            rate_hz=Fraction(100),
            dtype=np.dtype("int16"),
            chunk_samples=shape.chunk_samples,
            block_samples=shape.block_samples,
            channels=[NewChannel(label="C3"), NewChannel(label="C4")],
        )
        entry = store.catalog.create(
            NewRecording(patient="p1", name="night", kind="live", groups=[group]), "test"
        )
        (stored,) = store.catalog.groups(entry)
        chunks = [
            NewChunk(
                entry=entry,
                group=stored,
                start=100 * second,
                n_samples=100,
                body=np.full((2, 100), second, "<i2").tobytes(),
                source="test",
            )
            for second in range(10)
        ]
        store.append(chunks).result(30)
    return tmp_path / "live"


def test_a_list_says_whose_how_long_and_how_large(home: Path) -> None:
    told = recordings(home, "list", "--json")
    assert told.code == 0
    by_name = {one["recording_id"]: one for one in told.json["recordings"]}
    assert set(by_name) == {"a.edf", "b.bdf", GAPPED}
    one = by_name[GAPPED]
    assert (one["patient_id"], one["state"], one["kind"]) == ("ward3", "sealed", "edf")
    assert one["duration_sec"] == 112.0
    assert one["channels"] == ["EEG 0", "EEG 1", "Resp"]
    assert sorted(one["rates_hz"]) == [32.0, 256.0]
    assert one["start_time"] == "2020-01-24T04:05:56+00:00"
    assert one["size_bytes"] > 0
    table = recordings(home, "list").out
    assert all(name in table for name in by_name)
    assert "3 recordings" in table
    assert recordings(home, "list", "--patient", "nobody", "--json").json == {"recordings": []}


def test_one_is_shown_with_channels_gaps_and_annotations(home: Path) -> None:
    told = recordings(home, "show", GAPPED, "--json")
    assert told.code == 0, told.err
    fast, slow = sorted(told.json["groups"], key=lambda group: -group["rate_hz"])
    assert (fast["segments"], fast["gaps"], fast["samples"]) == (2, [[6.0, 106.0]], 12 * 256)
    assert [one["key"] for one in slow["channels"]] == ["Resp"]
    eeg = fast["channels"][0]
    assert (eeg["lowest"], eeg["highest"]) == pytest.approx((0.0, 307.1), abs=0.06)
    assert None in eeg["course"]
    texts = [one["text"] for one in told.json["annotations"]]
    assert texts == ["eyes closed", "spike [1]"]
    assert told.json["rows"] > 3
    shown = recordings(home, "show", GAPPED).out
    for word in ("EEG 0", "Resp", "1 gap", "spike [1]", "2.500 s for 1.25 s", "·", "█"):
        assert word in shown, word


def test_what_is_not_there_is_one_line(home: Path) -> None:
    for words in (("show", "none"), ("verify", "none"), ("seal", "none")):
        failed = recordings(home, *words)
        assert failed.code == 1
        assert failed.err.splitlines()[-1].startswith("ranvier: recording 'none'")


def test_all_of_them_hold(home: Path) -> None:
    told = recordings(home, "verify", "--all")
    assert told.code == 0, told.err
    assert told.out.count("verified: ") == 3
    assert "3 of 3 recordings hold" in told.err
    asked = recordings(home, "verify", "a.edf", "--json")
    assert asked.json["outcome"] == "verified"
    assert asked.json["recordings"][0]["samples"] == 3 * 20 * 256


@pytest.mark.parametrize("words", [(), ("a.edf", "--all")])
def test_verify_wants_names_or_all(home: Path, words: tuple[str, ...]) -> None:
    assert recordings(home, "verify", *words).code == 2


def test_a_flipped_byte_and_a_changed_row_are_named(ward: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    ranvier("ingest", str(ward), env={"RANVIER_HOME": str(home)})
    asked = recordings(home, "show", "a.edf", "--json").json["recording"]["uuid"]
    files = [path for path in (home / "store" / "rec" / asked).rglob("*") if path.is_file()]
    victim = max(files, key=lambda path: path.stat().st_size)
    content = bytearray(victim.read_bytes())
    content[len(content) // 3] ^= 4
    victim.write_bytes(content)
    told = recordings(home, "verify", "--all")
    assert told.code == 1
    assert "a.edf of ward3: audit row" in told.err
    assert "2 of 3 recordings hold" in told.err

    with sqlite3.connect(home / "catalog.db") as database:
        triggers = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in triggers.fetchall():
            database.execute(f'DROP TRIGGER "{name}"')
        database.execute("UPDATE annotation SET text = 'nothing' WHERE text = 'eyes closed'")
    database.close()
    again = recordings(home, "verify", GAPPED, "--json")
    assert again.code == 1
    assert again.json["failed"] == [GAPPED]
    assert "audit row" in again.json["recordings"][0]["problems"][0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("DELETE FROM seal", "sealed in one place and not in the other"),
        ("DELETE FROM patient", "its patient (row 1) is missing"),
        ("UPDATE recording SET created_at = 'x'", "its row of the catalogue cannot be read"),
        ("DELETE FROM recording", "a.edf of ward3: audit: "),
        ("UPDATE rate_group SET rate_denominator = 0", "a.edf of ward3: "),
    ],
)
def test_recordings_that_are_missing_are_named(
    home: Path, tmp_path: Path, change: str, says: str
) -> None:
    copy = tmp_path / "home"
    shutil.copytree(home, copy)
    with sqlite3.connect(copy / "catalog.db") as database:
        triggers = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in triggers.fetchall():
            database.execute(f'DROP TRIGGER "{name}"')
        database.execute(change)
    database.close()
    told = recordings(copy, "verify", "--all")
    assert told.code == 1
    assert "0 of 3 recordings hold" in told.err or "0 of 4" in told.err
    assert says in told.err
    assert "Traceback" not in told.err


def test_added_files_are_named(home: Path, tmp_path: Path) -> None:
    copy = tmp_path / "home"
    shutil.copytree(home, copy)
    inside = next((copy / "store" / "rec").iterdir()) / "g0" / "added"
    inside.write_bytes(b"x")
    stray = copy / "store" / "rec" / "11111111-1111-1111-1111-111111111111"
    stray.mkdir()
    (stray / "zarr.json").write_bytes(b"{}")
    told = recordings(copy, "verify", "--all", "--json")
    assert told.code == 1
    assert f"{inside}: nothing speaks of this file" in told.err
    assert f"ranvier: {stray.name}: " in told.err
    assert len(told.json["recordings"]) == 4
    assert len(told.json["failed"]) == 2


def test_a_live_recording_is_sealed_once(live: Path) -> None:
    assert recordings(live, "list", "--json").json["recordings"][0]["state"] == "live"
    sealed = recordings(live, "seal", "night")
    assert sealed.code == 0, sealed.err
    assert "sealed: night of p1" in sealed.out
    assert recordings(live, "seal", "night", "--json").json["outcome"] == "unchanged"
    assert recordings(live, "list", "--json").json["recordings"][0]["state"] == "sealed"
    assert recordings(live, "verify", "--all").code == 0


def test_an_original_of_what_came_live_is_not_to_be_had(live: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.edf"
    failed = recordings(live, "export", "night", "--original", "--output", str(out))
    assert failed.code == 1
    assert "did not come from an EDF or BDF file" in failed.err
    assert not out.exists()
    made = recordings(live, "export", "night", "--output", str(out))
    assert made.code == 0, made.err
    with pyedflib.EdfReader(str(out)) as reader:
        assert reader.getSignalLabels() == ["C3", "C4"]
        assert [reader.readSignal(0)[100 * second] for second in range(10)] == list(range(10))


@pytest.mark.parametrize("name", ["a.edf", "b.bdf", GAPPED])
def test_the_very_file_comes_back(home: Path, ward: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    done = recordings(home, "export", name, "--original", "--output", str(out), "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json["format"] == "original"
    assert out.read_bytes() == (ward / name).read_bytes()
    again = recordings(home, "export", name, "--original", "--output", str(out))
    assert again.code == 1
    assert "is there already" in again.err


def test_an_edf_keeps_numbers_scaling_gaps_and_annotations(
    home: Path, ward: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.edf"
    assert recordings(home, "export", GAPPED, "--output", str(out)).code == 0
    with EdfSource(str(ward / GAPPED)) as before, EdfSource(str(out)) as after:
        assert len(after.recording.groups) == len(before.recording.groups)
        for number, group in enumerate(before.recording.groups):
            span = Span(0, group.n_samples)
            np.testing.assert_array_equal(after.read(number, span), before.read(number, span))
            assert list(after.segments(number)) == list(before.segments(number))
            ours = after.recording.groups[number].channels
            assert [one.scaling for one in ours] == [one.scaling for one in group.channels]
        assert [(one.onset_us, one.text) for one in after.recording.annotations] == [
            (one.onset_us, one.text) for one in before.recording.annotations
        ]


def test_a_stretch_as_edf(home: Path, ward: Path, tmp_path: Path) -> None:
    out = tmp_path / "cut.edf"
    words = ("export", "a.edf", "--start", "3", "--end", "7.5", "--output", str(out))
    assert recordings(home, *words).code == 0
    with EdfSource(str(ward / "a.edf")) as before, EdfSource(str(out)) as after:
        wanted = before.read(0, Span(3 * 256, 7 * 256 + 128))
        held = after.read(0, Span(0, after.recording.groups[0].n_samples))
        np.testing.assert_array_equal(held[: len(wanted)], wanted)
        assert after.recording.start_us == before.recording.start_us + 3_000_000


def test_other_formats(home: Path, ward: Path, tmp_path: Path) -> None:
    for form, name in (("bdf", "a.bdf"), ("nwb", "a.nwb"), ("csv", "csv"), ("pennsieve", "chunks")):
        out = tmp_path / name
        done = recordings(home, "export", "a.edf", "--format", form, "-o", str(out), "--json")
        assert done.code == 0, done.err
        assert done.json["output"] == str(out)
    with EdfSource(str(ward / "a.edf")) as source:
        stored = source.read(0, Span(0, 5120))
        values = source.recording.groups[0].channels[1].scaling.apply(stored[:, 1])
    with EdfSource(str(tmp_path / "a.bdf")) as bdf:
        np.testing.assert_array_equal(bdf.read(0, Span(0, 5120)), stored)
    with NwbSource(str(tmp_path / "a.nwb")) as nwb:
        group = nwb.recording.groups[0]
        mine = group.channels[1].scaling.apply(np.asarray(nwb.read(0, Span(0, 5120)))[:, 1])
        np.testing.assert_allclose(mine, values, rtol=1e-12)
    tables = [path for path in (tmp_path / "csv").glob("*.csv") if "annotation" not in path.name]
    with tables[0].open(newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) == 5121
    (column,) = (number for number, name in enumerate(rows[0]) if name.startswith("EEG 1"))
    assert [float(row[column]) for row in rows[1:]] == list(values)
    manifest = json.loads((tmp_path / "chunks" / "manifest.json").read_text())
    assert manifest["series"][0]["samples"] == 5120


@pytest.mark.parametrize(
    "words",
    [
        ("--original", "--start", "1"),
        ("--start", "5", "--end", "5"),
        ("--format", "wav"),
        ("--start", "9999"),
    ],
)
def test_wrong_usage_of_export(home: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    out = tmp_path / "x"
    assert recordings(home, "export", "a.edf", "--output", str(out), *words).code == 2
    assert not out.exists()


def test_an_export_is_noted_in_the_chain(home: Path, tmp_path: Path) -> None:
    assert recordings(home, "export", "b.bdf", "-o", str(tmp_path / "b.edf")).code in (0, 1)
    assert (
        recordings(home, "export", "b.bdf", "--format", "bdf", "-o", str(tmp_path / "b.bdf")).code
        == 0
    )
    settings = RecordsSettings(home=home)
    with RecordingStore.open(settings.store_url, settings.catalog_url) as store:
        events = [row.event for row in store.catalog.audit(store.catalog.find("b.bdf"))]
    assert events[-1] == "exported"


def test_an_output_is_replaced_only_if_that_is_said(home: Path, tmp_path: Path) -> None:
    for form, name in (("edf", "x.edf"), ("nwb", "x.nwb"), ("csv", "table")):
        words = ["--format", form, "--output", str(tmp_path / name)]
        assert recordings(home, "export", "a.edf", *words).code == 0
        assert recordings(home, "export", GAPPED, *words).code == 1
        done = recordings(home, "export", "b.bdf", *words, "--overwrite")
        assert done.code == 0, done.err


def test_the_very_file_has_no_format(home: Path, tmp_path: Path) -> None:
    output = str(tmp_path / "x.edf")
    done = recordings(home, "export", "a.edf", "--original", "--format", "edf", "-o", output)
    assert done.code == 2
    assert "leave --format out" in done.err
