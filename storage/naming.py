"""How a recording is called where nobody says: by its file and folder, unless a person is named.

File names often carry the name of whoever the header names. Then both names are made: from the
patient field of the header and from the file's content under a secret key, so that files of one
person belong together, the same file gets the same name again, and nobody without the key can try
out names.
"""

from __future__ import annotations


import re
from dataclasses import dataclass
from pathlib import Path

from storage.edf import EdfSource
from storage.identity import IdentityKey
from storage.protocols import RecordingSource

# The other half of the two fields says when and where it was made.
PATIENT_BYTES = 80
LONGEST = 200


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


def name_recording(source: RecordingSource, url: str, key_file: Path) -> Names:
    """Return default names for a recording.

    Parameters
    ----------
    source
        The recording.
    url
        Where it was opened from.
    key_file
        The key that made names depend on; made if there is none, read only if it is needed.
    """
    if isinstance(source, EdfSource) and source.names_a_person:
        key = IdentityKey.load_or_create(key_file)
        person = source.header.identity[:PATIENT_BYTES].strip()
        return Names(
            f"patient-{key.pseudonym(b'patient' + person)}",
            f"recording-{key.pseudonym(source.sha256.encode())}",
            made=True,
        )
    folder, _, file = url.rstrip("/").rpartition("/")
    return Names(_clean(folder.rpartition("/")[2]) or "unknown", _clean(file), made=False)


def _clean(name: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f/\\]", "_", name)[:LONGEST]
