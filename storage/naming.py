"""How a recording is called where nobody says: by its file and folder, unless a person is named.

File names often carry the name of whoever the header names. Then both names are made: from the
patient field of the header and from the file's content under a secret key, so that files of one
person belong together, the same file gets the same name again, and nobody without the key can try
out names.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from storage.errors import UsageError
from storage.identity import IdentityKey
from storage.protocols import RecordingSource, has_original, person_of

LONGEST = 200
BAD = re.compile(r"[\x00-\x1f\x7f/\\]")
FOLDERS = (".", "..")


@dataclass(frozen=True, slots=True)
class Names:
    """What a recording and its patient are called.

    Parameters
    ----------
    made
        Whether the file names a person, so that its own name is not to be shown to others.
    """

    patient: str
    recording: str
    made: bool


def name_recording(
    source: RecordingSource,
    url: str,
    key: Callable[[], IdentityKey],
    patient: str | None = None,
    recording: str | None = None,
    sha256: str | None = None,
) -> Names:
    """Return names for a recording: those that are given, made ones for the rest.

    Parameters
    ----------
    source
        The recording.
    url
        Where it was opened from.
    key
        Gives the key that made names depend on; asked only if it is needed.
    patient, recording
        What somebody says that they are called.
    sha256
        Of the file, for sources that do not tell it themselves; without it the URL stands for it.
    """
    person = person_of(source)
    if person is not None:
        if not patient or not recording:
            secret = key()
            content = source.sha256 if has_original(source) else sha256 or url
            patient = patient or f"patient-{secret.pseudonym(f'patient{person}'.encode())}"
            recording = recording or f"recording-{secret.pseudonym(content.encode())}"
        return Names(patient, recording, made=True)
    folder, _, file = url.rstrip("/").rpartition("/")
    return Names(
        patient or _clean(folder.rpartition("/")[2]) or "unknown",
        recording or _clean(file),
        made=False,
    )


def check_names(**names: str | None) -> None:
    """Check that names which somebody gives are ones that routes take; None stands for none.

    Raises
    ------
    UsageError
        If one is empty or too long, or has characters that no route can serve.
    """
    for what, name in names.items():
        if name is None:
            continue
        if not name or len(name) > LONGEST or name in FOLDERS or BAD.search(name):
            option = f"--{what.replace('_', '-')}"
            raise UsageError(
                f"{option} {name!r:.60}: expected 1 to {LONGEST} characters without slash, "
                "backslash and control characters, and neither . nor ..; choose another name"
            )


def _clean(name: str) -> str:
    clean = BAD.sub("_", name)[:LONGEST]
    return "_" if clean in FOLDERS else clean
