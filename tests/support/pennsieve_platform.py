"""The test platform's memory and rules: packages, channels, runs and imports. No HTTP here."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

BODY_BYTES = 1 << 20
CHANNEL_KEYS = {
    "name": str,
    "start": int,
    "end": int,
    "unit": str,
    "rate": (int, float),
    "channelType": str,
    "lastAnnotation": int,
    "properties": list,
}
OPTIONAL_KEYS = {"group", "spikeDuration", "id", "viewerAssetId"}
PROPERTY_KEYS = {"key", "value", "dataType", "category", "fixed", "hidden"}
FILE_PATH = re.compile(r"(N:channel:[0-9a-f-]{36})_-?\d+_-?\d+\.bin\.gz")


class Refused(Exception):
    """The platform says no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def require(condition: object, message: str, status: int = 400) -> None:
    """Refuse unless the condition holds."""
    if not condition:
        raise Refused(status, message)


@dataclass(slots=True)
class Package:
    """A package and what was put into it."""

    id: str
    kind: str = "TimeSeries"
    parent: str | None = None
    dataset: str | None = None
    properties: dict[str, Any] = field(default_factory=dict)
    channels: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(slots=True)
class ImportRecord:
    """An import: its manifest by upload key."""

    id: str
    dataset_id: str
    integration_id: str
    package_id: str
    files: dict[str, str] = field(default_factory=dict)


class Platform:
    """Everything that the platform knows; inspected by tests."""

    def __init__(self) -> None:
        self.packages: dict[str, Package] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.imports: dict[str, ImportRecord] = {}

    def add_package(self, kind: str = "TimeSeries", parent: str | None = None) -> Package:
        """Add a package, or a collection."""
        noun = "collection" if kind == "Collection" else "package"
        package = Package(f"N:{noun}:{uuid.uuid4()}", kind, parent)
        self.packages[package.id] = package
        return package

    def add_run(self, package_ids: Iterable[str] | None, run_id: str | None = None) -> str:
        """Add a workflow run and return its id."""
        run_id = run_id or str(uuid.uuid4())
        sources = {} if package_ids is None else {"source": {"packageIds": list(package_ids)}}
        self.runs[run_id] = {
            "uuid": run_id,
            "datasetId": f"N:dataset:{uuid.uuid4()}",
            "dataSources": sources,
        }
        return run_id

    def add_channel(self, package: Package, **content: Any) -> dict[str, Any]:
        """Add a channel as an earlier import left it; fields may be None."""
        made = {
            "name": "CH1",
            "start": 0,
            "end": 1,
            "unit": "uV",
            "rate": 1000.0,
            "channelType": "CONTINUOUS",
            "group": None,
            "lastAnnotation": 0,
            **content,
            "id": f"N:channel:{uuid.uuid4()}",
        }
        package.channels[made["id"]] = {"content": made, "properties": []}
        return made

    def package(self, package_id: str) -> Package:
        """Return a package, or refuse with 404."""
        require(package_id in self.packages, f"package {package_id} not found", 404)
        return self.packages[package_id]

    def describe(self, package_id: str) -> dict[str, Any]:
        """Return what the platform tells about a package."""
        package = self.package(package_id)
        described: dict[str, Any] = {
            "content": {"nodeId": package.id, "packageType": package.kind, "name": "recording"}
        }
        if package.dataset:
            described["content"]["datasetNodeId"] = package.dataset
        if package.parent:
            described["parent"] = {"content": {"nodeId": package.parent}}
        return described

    def merge_properties(self, package_id: str, body: Any) -> None:
        """Merge properties by their key."""
        package = self.package(package_id)
        require(isinstance(body, dict) and set(body) == {"properties"}, "expected properties")
        for item in body["properties"]:
            require(set(item) <= PROPERTY_KEYS and {"key", "value"} <= set(item), "bad property")
            package.properties[item["key"]] = item

    def create_channels(self, package_id: str, body: Any) -> Any:
        """Create one channel or a list of them, all or none."""
        package = self._time_series(package_id)
        wanted = body if isinstance(body, list) else [body]
        require(wanted, "expected at least one channel")
        for content in wanted:
            check_channel(content)
        made = [
            {
                "content": {**content, "id": f"N:channel:{uuid.uuid4()}"},
                "properties": content["properties"],
            }
            for content in wanted
        ]
        for channel in made:
            channel["content"].pop("properties")
            package.channels[channel["content"]["id"]] = channel
        return made if isinstance(body, list) and len(made) > 1 else made[0]

    def update_channel(self, package_id: str, channel_id: str, body: Any) -> Any:
        """Replace a channel's content."""
        package = self._time_series(package_id)
        require(channel_id in package.channels, f"channel {channel_id} not found", 404)
        check_channel(body)
        require(body.get("id", channel_id) == channel_id, "id differs from the path")
        content = {key: value for key, value in body.items() if key != "properties"}
        package.channels[channel_id] = {
            "content": {**content, "id": channel_id},
            "properties": body["properties"],
        }
        return package.channels[channel_id]

    def create_import(self, dataset_id: str | None, body: Any) -> ImportRecord:
        """Create an import with the first files of its manifest."""
        keys = {"integration_id", "package_id", "import_type", "files"}
        require(isinstance(body, dict) and set(body) == keys, f"expected {sorted(keys)}")
        require(dataset_id, "dataset_id is required")
        require(body["import_type"] == "timeseries", "unknown import_type")
        package = self._time_series(body["package_id"])
        check_files(package, body["files"])
        record = ImportRecord(
            str(uuid.uuid4()), str(dataset_id), body["integration_id"], body["package_id"]
        )
        self._add(record, body["files"])
        self.imports[record.id] = record
        return record

    def add_files(self, import_id: str, dataset_id: str | None, body: Any) -> None:
        """Add files to a manifest; the same key with the same path may come again."""
        record = self.import_of(import_id, dataset_id)
        require(isinstance(body, dict) and set(body) == {"files"}, "expected files")
        check_files(self.packages[record.package_id], body["files"])
        self._add(record, body["files"])

    def import_of(self, import_id: str, dataset_id: str | None) -> ImportRecord:
        """Return an import of a dataset, or refuse with 404."""
        record = self.imports.get(import_id)
        require(record and record.dataset_id == dataset_id, f"import {import_id} not found", 404)
        return self.imports[import_id]

    def _add(self, record: ImportRecord, files: list[dict[str, str]]) -> None:
        for item in files:
            known = record.files.get(item["upload_key"], item["file_path"])
            require(known == item["file_path"], "upload_key is taken by another path", 409)
        record.files |= {item["upload_key"]: item["file_path"] for item in files}

    def _time_series(self, package_id: str) -> Package:
        package = self.package(package_id)
        require(
            package.kind in ("TimeSeries", "Collection"),
            f"package type {package.kind} cannot hold channels",
        )
        return package


def check_channel(content: Any) -> None:
    """Refuse a channel that lacks a required key, or has a blank name."""
    require(isinstance(content, dict), "a channel is an object")
    for key, kind in CHANNEL_KEYS.items():
        value = content.get(key)
        right = isinstance(value, kind) and not isinstance(value, bool)  # type: ignore[arg-type]
        require(right, f"{key}: expected {kind}, found {value!r}")
    unknown = set(content) - set(CHANNEL_KEYS) - OPTIONAL_KEYS
    require(not unknown, f"unknown keys {sorted(unknown)}")
    require(content["name"].strip(), "channel name must not be blank")


def check_files(package: Package, files: Any) -> None:
    """Refuse a manifest whose keys are not unique uuids, or whose paths name no channel."""
    require(isinstance(files, list) and files, "files must not be empty")
    seen = set()
    for item in files:
        require(set(item) == {"upload_key", "file_path"}, "expected upload_key and file_path")
        try:
            uuid.UUID(item["upload_key"])
        except ValueError:
            raise Refused(400, "upload_key must be a uuid") from None
        require(item["upload_key"] not in seen, "upload_key comes twice")
        seen.add(item["upload_key"])
        path = FILE_PATH.fullmatch(item["file_path"])
        require(path and path[1] in package.channels, f"{item['file_path']}: no such channel")
