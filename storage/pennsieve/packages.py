"""Packages: the platform's entries for files, one of which receives the channels."""

from __future__ import annotations

from typing import Any

from storage.errors import NotFound, Rejected
from storage.pennsieve.client import Client, segment

TIME_SERIES_TYPES = frozenset({"timeseries", "collection"})
LOOKUP = {"includeAncestors": "true", "startAtEpoch": "false", "limit": "100", "offset": "0"}
# What makes the platform show a package in its time-series viewer.
VIEWER_PROPERTIES = tuple(
    {
        "key": key,
        "value": value,
        "dataType": "string",
        "category": category,
        "fixed": False,
        "hidden": True,
    }
    for key, value, category in (
        ("subtype", "pennsieve_timeseries", "Viewer"),
        ("icon", "timeseries", "Pennsieve"),
    )
)


def find_package(client: Client, package_id: str) -> dict[str, Any]:
    """Return what the platform tells about a package.

    Raises
    ------
    NotFound
        If there is none, naming it.
    Rejected
        If the answer is not a description of a package.
    """
    host = client.hosts.api
    try:
        answer = client.call("GET", f"{host}/packages/{segment(package_id)}", params=LOOKUP)
    except NotFound as error:
        raise NotFound(f"package {package_id}: {host} does not know it; check the id") from error
    found = answer.json()
    if not isinstance(found, dict):
        raise Rejected(
            f"package {package_id}: expected a JSON object, found {type(found).__name__}"
        )
    return found


def require_time_series(client: Client, package_id: str, dataset_id: str) -> None:
    """Make sure that a package exists, can hold channels, and lies in a data set.

    Raises
    ------
    NotFound
        If there is none, naming it, or the platform says that it lies in another data set.
    Rejected
        If it is of another type.
    """
    content = find_package(client, package_id).get("content") or {}
    kind, lies_in = content.get("packageType"), content.get("datasetNodeId")
    if lies_in and lies_in != dataset_id:
        raise NotFound(
            f"data set {dataset_id}: does not hold package {package_id}, which lies in {lies_in};"
            " check the ids"
        )
    if kind and str(kind).casefold() not in TIME_SERIES_TYPES:
        raise Rejected(
            f"package {package_id}: its type is {kind}, expected TimeSeries or Collection;"
            " choose another package"
        )


def find_parent(client: Client, package_id: str) -> str:
    """Return the node id of the collection that holds a package.

    Raises
    ------
    NotFound
        If there is no such package, or it lies in no collection.
    """
    parent = find_package(client, package_id).get("parent") or {}
    node_id = (parent.get("content") or {}).get("nodeId")
    if not node_id:
        raise NotFound(
            f"package {package_id}: it has no parent to receive the channels;"
            " put the packages of the run into one folder, or name --dataset and --package"
        )
    return str(node_id)


def mark_as_time_series(client: Client, package_id: str) -> None:
    """Set the properties that open the viewer; the platform merges them by key."""
    client.call(
        "PUT",
        f"{client.hosts.api}/packages/{segment(package_id)}",
        params={"updateStorage": "true"},
        body={"properties": list(VIEWER_PROPERTIES)},
        accept="*/*",
    )
