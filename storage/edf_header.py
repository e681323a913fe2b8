"""Headers of EDF and BDF files: read as leniently as the samples stay certain, kept verbatim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from functools import cached_property

from storage.edf_fields import (
    has_comma,
    microvolts,
    number,
    readable,
    start_time,
    unit_text,
    verbatim,
    whole_number,
)
from storage.errors import CorruptRecording, UnsupportedRecording
from storage.persons import NOBODY
from storage.recording import Channel
from storage.scaling import Scaling

FIXED_BYTES = SIGNAL_BYTES = 256
MOST_SIGNALS = 4096
MOST_RATE_HZ = 10**9
IDENTITY = slice(8, 168)
UNCALIBRATED = "uncalibrated"
# Name and width of the fields, in their order.
FIXED_FIELDS = (
    ("version", 8), ("patient", 80), ("recording", 80), ("start_date", 8), ("start_time", 8),
    ("header_bytes", 8), ("reserved", 44), ("n_records", 8), ("record_duration", 8),
    ("n_signals", 4),
)  # fmt: skip
SIGNAL_FIELDS = (
    ("label", 16), ("transducer", 80), ("dimension", 8), ("physical_min", 8),
    ("physical_max", 8), ("digital_min", 8), ("digital_max", 8), ("prefilter", 80),
    ("samples", 8), ("reserved", 32),
)  # fmt: skip
ANNOTATION_LABELS = ("EDF Annotations", "BDF Annotations")
BDF_VERSION = b"\xffBIOSEMI"
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001
NAMED_IN_NOTES = 5


@dataclass(frozen=True)
class EdfSignal:
    """One signal of a header.

    Parameters
    ----------
    index
        Its place in the file.
    fields
        Its header fields, verbatim, by the names in ``SIGNAL_FIELDS``.
    """

    index: int
    fields: Mapping[str, str]

    @property
    def label(self) -> str:
        """Its name, which other signals may have too."""
        return readable(self.fields["label"])

    @property
    def is_annotations(self) -> bool:
        """Whether it holds annotations instead of samples."""
        return self.label in ANNOTATION_LABELS

    @cached_property
    def samples(self) -> int:
        """Samples in each record.

        Raises
        ------
        CorruptRecording
            If the field holds no such number.
        """
        found = whole_number(self.fields["samples"])
        if found is None or found < 0:
            raise CorruptRecording(
                f"samples per record of signal {self.index} ({self.label}): expected a number, "
                f"got {self.fields['samples']!r}"
            )
        return found

    @cached_property
    def limits(self) -> tuple[Fraction, Fraction, Fraction, Fraction] | None:
        """Physical and digital minimum and maximum, where all are numbers and span a range."""
        names = ("physical_min", "physical_max", "digital_min", "digital_max")
        low, high, dig_low, dig_high = (number(self.fields[name]) for name in names)
        if low is None or high is None or dig_low is None or dig_high is None:
            return None
        return None if low == high or dig_low == dig_high else (low, high, dig_low, dig_high)

    @property
    def scaling(self) -> Scaling:
        """From digital to physical values."""
        if self.limits is None:
            return Scaling()
        low, high, dig_low, dig_high = self.limits
        gain = (high - low) / (dig_high - dig_low)
        to_unit = microvolts(self.fields["dimension"])
        return Scaling(float(gain), float(low - gain * dig_low), to_unit or 1.0)

    @property
    def unit(self) -> str:
        """``uV`` for every voltage, else what the file names; or that there is no calibration."""
        if self.limits is None:
            return UNCALIBRATED
        dimension = self.fields["dimension"]
        return "uV" if microvolts(dimension) is not None else readable(dimension)

    def channel(self) -> Channel:
        """Return it as a channel."""
        details = {**self.fields, "signal": str(self.index)}
        return Channel(label=self.label, unit=self.unit, scaling=self.scaling, details=details)


@dataclass(frozen=True, kw_only=True)
class EdfHeader:
    """A header.

    Parameters
    ----------
    raw
        Its bytes.
    bdf
        Whether samples have 24 bits.
    plus
        ``C`` or ``D`` for EDF+ and BDF+, as the header says; else empty.
    fields
        Fields of the whole file, verbatim, by the names in ``FIXED_FIELDS``.
    record_s
        Duration of a record.
    signals
        In the order of the file, those of annotations among them.
    start_us
        Start in microseconds since 1970, to the second; of the day, where the date is unknown.
    """

    raw: bytes
    bdf: bool
    plus: str
    fields: Mapping[str, str]
    record_s: Fraction
    signals: tuple[EdfSignal, ...]
    start_us: int
    start_known: bool
    notes: tuple[str, ...]

    @property
    def sample_bytes(self) -> int:
        """Bytes of a sample."""
        return 3 if self.bdf else 2

    @property
    def declared_records(self) -> int | None:
        """Number of records that the header claims; -1 in a recording that was never closed."""
        return whole_number(self.fields["n_records"])

    @property
    def identity(self) -> bytes:
        """The two fields that name persons."""
        return self.raw[IDENTITY]

    @property
    def without_identity(self) -> bytes:
        """The header with those two fields blank."""
        return with_identity(self.raw, b" " * len(self.identity))


def with_identity(raw: bytes, identity: bytes) -> bytes:
    """Return a header with other patient and recording fields.

    Raises
    ------
    CorruptRecording
        If they do not have the length of these fields.
    """
    expected = IDENTITY.stop - IDENTITY.start
    if len(identity) != expected:
        raise CorruptRecording(
            f"identity fields of a header: expected {expected} bytes, got {len(identity)}"
        )
    return raw[: IDENTITY.start] + identity + raw[IDENTITY.stop :]


def names_a_person(header: EdfHeader) -> bool:
    """Whether the patient field may name somebody."""
    patient = readable(header.fields["patient"])
    parts = patient.split()
    if header.plus and len(parts) >= 4:
        return parts[3].casefold() != "x"
    if patient.casefold() in NOBODY or all(part.casefold() == "x" for part in parts):
        return False
    return len(parts) > 1 or not any(char.isdigit() for char in patient)


def name_of(header: EdfHeader) -> str:
    """Return what of the patient field is the name: a part of EDF+ fields, all of others."""
    patient = readable(header.fields["patient"])
    parts = patient.split()
    return parts[3] if header.plus and len(parts) >= 4 else patient


def header_bytes(first: bytes) -> int:
    """Return the length of a header from its first 256 bytes.

    Raises
    ------
    UnsupportedRecording
        If it is no EDF or BDF header.
    CorruptRecording
        If it contradicts itself.
    """
    if first[:8] != BDF_VERSION and first[:8].strip(b" \0") != b"0":
        raise UnsupportedRecording(f"is no EDF or BDF file: begins with {first[:8]!r}")
    if len(first) < FIXED_BYTES:
        raise CorruptRecording(f"ends after {len(first)} bytes, expected a header of 256 or more")
    fields = _split(first, FIXED_FIELDS)
    n_signals = whole_number(fields["n_signals"])
    if n_signals is None or not 1 <= n_signals <= MOST_SIGNALS:
        raise CorruptRecording(
            f"number of signals in the header: expected 1 to {MOST_SIGNALS}, got "
            f"{fields['n_signals']!r}"
        )
    expected = FIXED_BYTES + n_signals * SIGNAL_BYTES
    if whole_number(fields["header_bytes"]) != expected:
        raise CorruptRecording(
            f"number of bytes in the header: expected {expected} for {n_signals} signals, got "
            f"{fields['header_bytes']!r}"
        )
    return expected


def parse_header(raw: bytes) -> EdfHeader:
    """Return what a header says.

    Parameters
    ----------
    raw
        All of its bytes, or more.

    Raises
    ------
    UnsupportedRecording
        If it is no EDF or BDF header.
    CorruptRecording
        If it contradicts itself in what the samples depend on.
    """
    length = header_bytes(raw[:FIXED_BYTES])
    if len(raw) < length:
        raise CorruptRecording(f"ends after {len(raw)} bytes, within its header of {length}")
    raw = bytes(raw[:length])
    fields = _split(raw, FIXED_FIELDS)
    signals = _signals(raw, (length - FIXED_BYTES) // SIGNAL_BYTES)
    bdf = raw[:1] == BDF_VERSION[:1]
    notes: list[str] = []
    record_s = number(fields["record_duration"])
    ordinary = [signal for signal in signals if not signal.is_annotations and signal.samples]
    if record_s is None or record_s < 0 or (record_s == 0 and ordinary):
        raise CorruptRecording(
            f"duration of a record in the header: expected seconds, got "
            f"{fields['record_duration']!r}"
        )
    for signal in ordinary:
        rate_hz = signal.samples / record_s
        if not Fraction(1, MOST_RATE_HZ) <= rate_hz <= MOST_RATE_HZ:
            raise CorruptRecording(
                f"rate of signal {signal.index} ({signal.label}): {signal.samples} samples in "
                f"{fields['record_duration']} s, expected 1e-9 to 1e9 Hz"
            )
    moment, seconds, odd = start_time(
        fields["start_date"], fields["start_time"], fields["recording"]
    )
    notes.extend(odd)
    if has_comma(fields["record_duration"]):
        notes.append(f"duration of a record {fields['record_duration']!r} has a decimal comma")
    notes.extend(_signal_notes(signals))
    plus = _plus(fields["reserved"])
    return EdfHeader(
        raw=raw,
        bdf=bdf,
        plus=plus,
        fields=fields,
        record_s=record_s,
        signals=signals,
        start_us=seconds * 1_000_000 if moment is None else microseconds(moment),
        start_known=moment is not None,
        notes=tuple(notes),
    )


def microseconds(moment: datetime) -> int:
    """Return the microseconds from 1970 to a moment without a zone, read as UTC."""
    passed = moment - _EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds


def moment_of(time_us: int) -> datetime:
    """Return the moment, to the second, of microseconds since 1970."""
    return datetime.fromtimestamp(time_us // 1_000_000, UTC)


def _plus(reserved: str) -> str:
    kind = reserved[:5].upper()
    return kind[4:] if kind in ("EDF+C", "EDF+D", "BDF+C", "BDF+D") else ""


def _split(raw: bytes, fields: tuple[tuple[str, int], ...]) -> dict[str, str]:
    found, at = {}, 0
    for name, width in fields:
        found[name] = verbatim(raw[at : at + width])
        at += width
    return found


def _signals(raw: bytes, count: int) -> tuple[EdfSignal, ...]:
    rows: list[dict[str, str]] = [{} for _ in range(count)]
    at = FIXED_BYTES
    for name, width in SIGNAL_FIELDS:
        for row in rows:
            row[name] = verbatim(raw[at : at + width])
            at += width
    return tuple(EdfSignal(index, row) for index, row in enumerate(rows))


def _signal_notes(signals: tuple[EdfSignal, ...]) -> list[str]:
    """Return a line for each kind of oddity."""
    found: dict[str, list[EdfSignal]] = {}

    def add(what: str, signal: EdfSignal) -> None:
        found.setdefault(what, []).append(signal)

    for signal in signals:
        if signal.is_annotations:
            continue
        dimension = signal.fields["dimension"]
        if not signal.samples:
            add("has no samples; only its header is kept", signal)
        if not dimension.isascii():
            kept = f"unit {unit_text(dimension)} is not written in ASCII"
            add(kept, signal)
        names = ("physical_min", "physical_max", "digital_min", "digital_max")
        if any(has_comma(signal.fields[name]) for name in names):
            add("range is written with a decimal comma", signal)
        if signal.limits is None:
            texts = [signal.fields[name] for name in names]
            if None in map(number, texts):
                add("range is no number: uncalibrated", signal)
            elif number(texts[0]) == number(texts[1]):
                add("physical minimum and maximum are equal: uncalibrated", signal)
            else:
                add("digital minimum and maximum are equal: uncalibrated", signal)
        elif (signal.limits[0] > signal.limits[1]) != (signal.limits[2] > signal.limits[3]):
            add("minimum is above the maximum: inverted polarity", signal)
    return [f"{_named(those)}: {what}" for what, those in found.items()]


def _named(signals: list[EdfSignal]) -> str:
    names = ", ".join(f"{signal.index} ({signal.label})" for signal in signals[:NAMED_IN_NOTES])
    more = f" and {len(signals) - NAMED_IN_NOTES} more" if len(signals) > NAMED_IN_NOTES else ""
    return f"signal{'s' if len(signals) > 1 else ''} {names}{more}"
