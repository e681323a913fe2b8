"""Recordings for the viewer's tests: the clips of CHB-MIT and made ones, ingested as people do it.

Patients: ``chb01`` (the two clips with their seizures), ``chb05`` (ten files of 2 s) and ``made``:

``hour.edf``
    3,600 s of the made night, 23 bipolar channels, a marked seizure from 2,996 to 3,036 s.
``gap.edf``
    EDF+D, six channels, 60 s of samples with nothing from 20 to 27.5 s, three annotations.
``mixed.edf``
    Four EEG channels at 256 Hz, muscle at 512 Hz, breathing at 32 Hz, SpO2 (%) at 1 Hz; 90 s.
``referential.edf``
    Nineteen electrodes of the 10-20 system, A1, A2 and an ECG in mV; 120 s.
``many.edf``
    128 channels, 60 s.
``hostile.edf``
    Labels and annotations that are HTML.

``samples_of`` returns what those made here hold, as it was before it was stored.
``python -m tests.support.viewed_recordings FOLDER HOURS`` writes a night with its seizures marked,
and prints what it is.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.support import night
from tests.support.command_line import ranvier
from tests.support.edf_files import SignalSpec, Text, write_edf

MADE = "made"
HOUR = "hour.edf"
GAP, GAP_START_S, GAP_END_S = "gap.edf", 20.0, 27.5
MIXED, REFERENTIAL, MANY, HOSTILE = "mixed.edf", "referential.edf", "many.edf", "hostile.edf"
CLIP, CLIP_PATIENT, CLIP_SEIZURE_S = "chb01_03_clip.edf", "chb01", (10.0, 50.0)
HOUR_SEIZURE_S = (2996.0, 3036.0)
RATE = 256
ELECTRODES = (
    *("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz", "C4", "T8"),
    *("P7", "P3", "Pz", "P4", "P8", "O1", "O2"),
)
BIPOLAR = ("FP1-F7", "F7-T7", "T7-P7", "FP2-F8", "F8-T8", "T8-P8")
HOSTILE_TEXT = '<img src=x onerror="window.hacked=1">'


@dataclass(frozen=True)
class Made:
    """A recording to be made: so many records of a second, and (label, unit, rate) of each channel.

    Parameters
    ----------
    gaps
        Seconds of pause before a record, by the record's number.
    """

    seconds: int
    channels: tuple[tuple[str, str, int], ...]
    gaps: tuple[tuple[int, str], ...] = ()
    annotations: tuple[Text, ...] = ()

    @property
    def plus(self) -> str:
        """Which kind of EDF+ it is, if any."""
        return "D" if self.gaps else "C" if self.annotations else ""


MADE_HERE = {
    GAP: Made(
        60,
        tuple((label, "uV", RATE) for label in BIPOLAR),
        gaps=((20, "7.5"),),
        annotations=((5, None, "eyes open"), (30, 2, "artefact"), (50, None, "eyes closed")),
    ),
    MIXED: Made(
        90,
        (
            *((label, "uV", RATE) for label in ("F3-C3", "C3-P3", "F4-C4", "C4-P4")),
            ("EMG chin", "uV", 512),
            ("Resp", "uV", 32),
            ("SpO2", "%", 1),
        ),
    ),
    REFERENTIAL: Made(
        120, (*((name, "uV", RATE) for name in (*ELECTRODES, "A1", "A2")), ("ECG", "mV", RATE))
    ),
    MANY: Made(60, tuple((f"E{number}", "uV", RATE) for number in range(1, 129))),
    HOSTILE: Made(
        10,
        (("<b>F3</b>", "uV", RATE), ('"><i>x</i>', "uV", RATE), ("F4", "uV", RATE)),
        annotations=((2, 3, HOSTILE_TEXT),),
    ),
}
# Physical units per number; the numbers fill 16 bit.
STEPS = {"uV": 0.1, "mV": 0.001, "%": 0.01}


def samples_of(recording: str, label: str) -> NDArray[np.float64]:
    """Return what a channel of a made recording holds, in its unit, on the grid of its file."""
    made = MADE_HERE[recording]
    place = [name for name, _, _ in made.channels].index(label)
    unit = made.channels[place][1]
    values: NDArray[np.float64] = _numbers(recording, made, place) * np.float64(STEPS[unit])
    return values


def _numbers(recording: str, made: Made, place: int) -> NDArray[np.int64]:
    """Return the numbers of a channel: a rhythm of its own, mains hum, a slow drift and noise."""
    _, unit, rate = made.channels[place]
    rng = np.random.default_rng([place, *recording.encode()])
    t = np.arange(made.seconds * rate) / rate
    rhythm = (20 + place) * np.sin(2 * np.pi * (4 + place % 9) * t + place)
    hum = 8 * np.sin(2 * np.pi * 50 * t) if rate > 100 else 0 * t
    drift = 60 * np.sin(2 * np.pi * 0.05 * t + place)
    values = 10 * (rhythm + hum + drift + rng.normal(0, 5, t.size))
    if unit == "mV":  # beats of 1 mV
        values = 1000 * np.exp(-np.square((t % 0.8 - 0.4) / 0.02)) + rng.normal(0, 10, t.size)
    elif unit == "%":
        values = 9700 + 100 * np.sin(2 * np.pi * t / 30)
    numbers: NDArray[np.int64] = np.rint(values).astype(np.int64)
    return numbers


def make_files(folder: Path) -> None:
    """Write the made recordings into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, made in MADE_HERE.items():
        write_edf(
            folder / name,
            signals=[
                SignalSpec(
                    label=label,
                    samples=rate,
                    digital=_numbers(name, made, place),
                    dimension=unit,
                    physical=(f"{-32768 * STEPS[unit]:.6g}", f"{32767 * STEPS[unit]:.6g}"),
                )
                for place, (label, unit, rate) in enumerate(made.channels)
            ],
            records=made.seconds,
            plus=made.plus,
            gaps=dict(made.gaps),
            annotations=made.annotations,
        )
    night.night_file(folder, 1).rename(folder / HOUR)
    write_summary(folder / "hour-summary.txt", HOUR, [HOUR_SEIZURE_S])


def marked_night(folder: Path, hours: float) -> tuple[Path, list[tuple[float, float]]]:
    """Return a night that is written now, with its seizures in a file beside it, and these."""
    path = night.night_file(folder, hours)
    length = night.SEIZURE_S
    onsets = range(night.FIRST_SEIZURE_S, round(hours * 3600) - length, night.SEIZURES_EVERY_S)
    seizures = [(float(onset), float(onset + length)) for onset in onsets]
    write_summary(folder / f"{path.stem}-summary.txt", path.name, seizures)
    return path, seizures


def write_summary(path: Path, recording: str, seizures: Sequence[tuple[float, float]]) -> None:
    """Write a summary as CHB-MIT has them, so that an ingest marks the seizures."""
    lines = [f"File Name: {recording}", f"Number of Seizures in File: {len(seizures)}"]
    for onset, end in seizures:
        lines += [f"Seizure Start Time: {onset:.0f} seconds"]
        lines += [f"Seizure End Time: {end:.0f} seconds"]
    path.write_text("\n".join(lines) + "\n")


def fill(home: Path, data: Path, files: Path) -> None:
    """Ingest everything into a home.

    Parameters
    ----------
    home
        A folder that is made.
    data
        The folder of recorded files.
    files
        A folder for the made ones.
    """
    make_files(files / MADE)
    clips = sorted(map(str, (data / "chbmit").glob("*_clip.edf")))
    ingest(home, *clips, "--patient", CLIP_PATIENT)
    ingest(home, str(data / "chbmit" / "chb05"), str(files / MADE))
    shutil.rmtree(files)


def ingest(home: Path, *words: str) -> None:
    """Run ``ranvier ingest``."""
    ran = ranvier("ingest", *words, "--json", env={"RANVIER_HOME": str(home)})
    assert ran.code == 0, ran.err


def main() -> None:
    """Write a night and say what it is."""
    path, seizures = marked_night(Path(sys.argv[1]), float(sys.argv[2]))
    print(json.dumps({"path": str(path), "bytes": path.stat().st_size, "seizures": seizures}))


if __name__ == "__main__":
    main()
