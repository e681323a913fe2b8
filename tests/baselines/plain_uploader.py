"""A plain uploader: four workers, one request after the other, a new connection for each.

``python -m tests.baselines.plain_uploader FOLDER READY.json`` uploads the chunk files of an output
to the API that printed that line when it started.
"""

from __future__ import annotations

import json
import re
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

WORKERS = 4
SECONDS = 60


class PlainUploader:
    """The calls of an upload, each on a connection of its own."""

    def __init__(self, ready: dict[str, Any]) -> None:
        self._api = ready["url"]
        self._ready = ready
        self._headers = {"Authorization": f"Bearer {ready['token']}"}
        self._query = {"dataset_id": ready["dataset_id"]}

    def _post(self, path: str, body: object, **query: str) -> Any:
        answer = requests.post(
            f"{self._api}{path}", json=body, params=query, headers=self._headers, timeout=SECONDS
        )
        answer.raise_for_status()
        return answer.json()

    def channel(self, metadata: dict[str, Any]) -> str:
        """Create a channel and return its id."""
        body = {**metadata, "channelType": metadata["type"]}
        del body["type"]
        created = self._post(f"/timeseries/{self._ready['package_id']}/channels", body)
        return str(created["content"]["id"])

    def begin(self, files: list[dict[str, str]]) -> str:
        """Create an import and return its id."""
        body = {
            "integration_id": self._ready["integration_id"],
            "package_id": self._ready["package_id"],
            "import_type": "timeseries",
            "files": files,
        }
        return str(self._post("/import", body, **self._query)["id"])

    def send(self, import_id: str, key: str, path: Path) -> None:
        """Ask for a URL and put the file there."""
        answer = requests.get(
            f"{self._api}/import/{import_id}/upload/{key}/presign",
            params=self._query,
            headers=self._headers,
            timeout=SECONDS,
        )
        answer.raise_for_status()
        requests.put(
            answer.json()["url"], data=path.read_bytes(), timeout=SECONDS
        ).raise_for_status()


def main(folder: str, ready: str) -> None:
    """Upload a whole output and print the seconds that it took."""
    uploader = PlainUploader(json.loads(Path(ready).read_text(encoding="utf-8")))
    began = time.perf_counter()
    channels = {
        path.name.partition(".")[0]: uploader.channel(json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(Path(folder).glob("*.metadata.json"))
    }
    paths = sorted(Path(folder).glob("*.bin.gz"))
    keys = [str(uuid.uuid4()) for _ in paths]
    files = [
        {
            "upload_key": key,
            "file_path": re.sub(r"channel-\d+", lambda found: channels[found.group()], path.name),
        }
        for key, path in zip(keys, paths, strict=True)
    ]
    import_id = uploader.begin(files)
    with ThreadPoolExecutor(WORKERS) as pool:
        sent = sum(
            1
            for _ in pool.map(
                lambda item: uploader.send(import_id, *item), zip(keys, paths, strict=True)
            )
        )
    print(json.dumps({"seconds": time.perf_counter() - began, "sent": sent}))


if __name__ == "__main__":
    main(*sys.argv[1:])
