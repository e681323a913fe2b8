"""GDF files as recordings, read through MNE.

MNE hands out samples as double-precision volts, whatever the file stores: these doubles are what
is kept, so that a reader of MNE and a reader of ours see the same numbers to the last bit. Blocks
are read when they are asked for.
"""

from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from storage.byte_files import LocalCopy, file_name, fingerprint, open_bytes
from storage.clocks import MICROSECONDS, RateClock
from storage.errors import CorruptRecording, UnsupportedRecording
from storage.gdf_header import GdfHeader, read_gdf_header
from storage.persons import may_name_somebody
from storage.placed_source import PlacedGroup, PlacedSource, distinct
from storage.recording import Annotation, Channel, RateGroup, Recording
from storage.scaling import Scaling
from storage.spans import Span

if TYPE_CHECKING:
    from mne.io import BaseRaw

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TO_MICROVOLTS = {"V": 1e6, "mV": 1e3, "uV": 1.0, "nV": 1e-3}
# Scalp EEG has some 10 uV; what is below this is in another unit than the header says.
LEAST_RMS_UV = 0.1
LOOKED_AT = 2560


class GdfSource(PlacedSource):
    """The channels of a GDF file; its events are markers with their codes as text.

    Parameters
    ----------
    url
        Local path, or an ``s3://`` URL that is copied to a temporary folder first.

    Raises
    ------
    UnsupportedRecording
        If it is no GDF file, or one that MNE does not read.
    CorruptRecording
        If it is damaged.
    """

    def __init__(self, url: str) -> None:
        where = file_name(url)
        copy = LocalCopy(url, ".gdf")
        try:
            with open_bytes(str(copy.path)) as file:
                header = read_gdf_header(file, where)
            raw = _open_raw(copy, header, where)
            start_us = _start_us(raw)
            notes = (
                [] if start_us is not None else ["no start time in the header; times count from it"]
            )
            placed = _place(header, raw, start_us or 0)
            notes.extend(_unit_notes(placed))
            notes.extend(_event_notes(header))
            recording = Recording(
                id=where,
                start_us=start_us or 0,
                groups=(placed.group,),
                notes=tuple(notes),
                annotations=_annotations(header),
                start_known=start_us is not None,
            )
            super().__init__(url, recording, [placed], fingerprint(url), copy.close)
            self._patient = header.patient
        except BaseException:
            copy.close()
            raise

    @property
    def person(self) -> str | None:
        """What the header says about the patient, if that may name somebody."""
        return self._patient if may_name_somebody(self._patient) else None


def _open_raw(copy: LocalCopy, header: GdfHeader, where: str) -> BaseRaw:
    import mne

    rates = sorted({float(header.rate_hz(each)) for each in range(len(header.labels))})
    if len(rates) > 1:
        raise UnsupportedRecording(
            f"{where}: channels at {', '.join(f'{rate:g}' for rate in rates)} Hz; MNE would "
            "resample the slower ones, which changes their numbers; convert it to BDF"
        )
    with warnings.catch_warnings():
        # About events beyond the end and units, which are read from the file itself.
        warnings.simplefilter("ignore")
        try:
            # "auto" would take channels called STATUS or TRIGGER for triggers and mask their bits.
            return mne.io.read_raw_gdf(
                copy.path, stim_channel=False, preload=False, verbose="error"
            )
        except (RuntimeError, NotImplementedError) as error:
            raise UnsupportedRecording(f"{where}: MNE does not read it ({error})") from error
        except (ValueError, LookupError, AssertionError, OSError, ArithmeticError) as error:
            raise CorruptRecording(
                f"{where}: MNE cannot understand it ({type(error).__name__}: {error})"
            ) from error


def _place(header: GdfHeader, raw: BaseRaw, start_us: int) -> PlacedGroup:
    rate = header.rate_hz(0)
    group = RateGroup(
        name=f"{float(rate):g} Hz",
        rate_hz=float(rate),
        n_samples=int(header.samples_per_record[0] * header.n_records),
        dtype=np.dtype(np.float64),
        channels=tuple(
            _channel(label, unit, header.version)
            for label, unit in zip(distinct(header.labels), header.units, strict=True)
        ),
        ratio=None if rate.denominator == 1 else rate,
    )

    def read(span: Span, chosen: Span) -> NDArray[np.generic]:
        block, _ = raw[chosen.start : chosen.stop, span.start : span.stop]
        return np.asarray(block).T

    return PlacedGroup(group, RateClock(Fraction(start_us), float(rate)), read)


def _channel(label: str, unit: str, version: float) -> Channel:
    said = unit.replace("\N{MICRO SIGN}", "u").replace("\N{GREEK SMALL LETTER MU}", "u")
    details = {"label": label, "dimension": unit}
    # MNE turns these into volts, and leaves everything else as it is.
    in_volts = said.startswith("uV") if version < 1.9 else said in ("uV", "mV")
    if in_volts:
        return Channel(label=label, unit="uV", scaling=Scaling(to_unit=1e6), details=details)
    if said in TO_MICROVOLTS:
        scaling = Scaling(to_unit=TO_MICROVOLTS[said])
        return Channel(label=label, unit="uV", scaling=scaling, details=details)
    return Channel(label=label, unit=unit, details=details)


def _start_us(raw: BaseRaw) -> int | None:
    start = raw.info["meas_date"]
    return None if start is None else (start - EPOCH) // timedelta(microseconds=1)


def _annotations(header: GdfHeader) -> tuple[Annotation, ...]:
    rate = Fraction(header.event_rate_hz)
    return tuple(
        Annotation(
            onset_us=round(event.position * MICROSECONDS / rate),
            duration_us=round(event.duration * MICROSECONDS / rate) if event.duration else None,
            text=str(event.code),
            kind="marker",
            source="gdf",
            channels=(header.labels[event.channel - 1],)
            if 0 < event.channel <= len(header.labels)
            else (),
        )
        for event in sorted(header.events, key=lambda each: each.position)
    )


def _event_notes(header: GdfHeader) -> list[str]:
    seconds = header.n_records * header.record_s
    rate = Fraction(header.event_rate_hz)
    beyond = sum(event.position / rate >= seconds for event in header.events)
    return [f"{beyond} of {len(header.events)} events lie beyond the last sample"] if beyond else []


def _unit_notes(placed: PlacedGroup) -> list[str]:
    channels = placed.group.channels
    voltages = [i for i, channel in enumerate(channels) if channel.unit == "uV"]
    if not voltages:
        return []
    looked_at = Span(0, min(LOOKED_AT, placed.group.n_samples))
    block = placed.read(looked_at, Span(0, len(channels)))
    values = np.stack([channels[i].scaling.apply(block[:, i]) for i in voltages], axis=1)
    rms = float(np.sqrt(np.mean((values - values.mean(axis=0)) ** 2)))
    if not 0 < rms < LEAST_RMS_UV:
        return []
    dimension = channels[voltages[0]].details["dimension"]
    return [
        f"the header says {dimension}, but {rms:.3g} uV RMS is too little for EEG; the numbers "
        "may be in another unit (mV?), they are kept as the header says"
    ]
