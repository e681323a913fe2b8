"""Where an output goes: runs, packages, collections, and every way in which they are missing."""

from __future__ import annotations

import uuid

import pytest

from storage.errors import NotFound, Rejected, UsageError
from storage.pennsieve import Target, find_target
from storage.pennsieve.packages import find_package
from tests.support.faults import Fault
from tests.support.pennsieve_api import PennsieveApi
from tests.support.pennsieve_cases import Connect


def test_the_only_package_of_a_run_is_the_target(api: PennsieveApi, connected: Connect) -> None:
    run = api.platform.add_run(["N:whatever:1"])
    target = find_target(connected(api), integration_id=run)
    assert target == Target(run, api.platform.runs[run]["datasetId"], "N:whatever:1")
    assert api.routes == ["cognito-config", "run"]


def test_of_several_packages_the_parent_is_the_target(
    api: PennsieveApi, connected: Connect
) -> None:
    collection = api.platform.add_package("Collection")
    package = api.platform.add_package(parent=collection.id)
    run = api.platform.add_run(["N:collection:x", package.id, "N:package:other"])
    target = find_target(connected(api), integration_id=run)
    assert target.package_id == collection.id
    call = api.calls[-1]
    assert call.path == f"/packages/{package.id}"
    assert call.query == {
        "includeAncestors": "true",
        "startAtEpoch": "false",
        "limit": "100",
        "offset": "0",
    }


def test_packages_of_all_sources_count(api: PennsieveApi, connected: Connect) -> None:
    collection = api.platform.add_package("Collection")
    package = api.platform.add_package(parent=collection.id)
    run = api.platform.add_run(None)
    api.platform.runs[run]["dataSources"] = {
        "a": {"packageIds": None},
        "b": {"packageIds": [package.id]},
        "c": {"packageIds": ["N:package:2"]},
    }
    assert find_target(connected(api), integration_id=run).package_id == collection.id


def test_an_unknown_run_is_named(api: PennsieveApi, connected: Connect) -> None:
    with pytest.raises(NotFound, match=r"workflow run no-such-run: .* does not know it"):
        find_target(connected(api), integration_id="no-such-run")
    api.faults.add(Fault(route="run", status=404))
    with pytest.raises(NotFound, match=r"workflow run no-such-run: .* does not know it"):
        find_target(connected(api), integration_id="no-such-run")


def test_an_id_stays_in_its_place_in_the_path(api: PennsieveApi, connected: Connect) -> None:
    with pytest.raises(NotFound):
        find_target(connected(api), integration_id="a b?c:d")
    assert api.calls[-1].path == "/compute/workflows/runs/a%20b%3Fc:d"


@pytest.mark.parametrize("packages", [None, []])
def test_a_run_without_packages_fails(
    api: PennsieveApi, connected: Connect, packages: list[str] | None
) -> None:
    run = api.platform.add_run(packages)
    dataset = api.platform.runs[run]["datasetId"]
    with pytest.raises(NotFound, match=f"{run}: it names no package of dataset {dataset}"):
        find_target(connected(api), integration_id=run)


def test_a_run_without_a_package_id_among_several_fails(
    api: PennsieveApi, connected: Connect
) -> None:
    run = api.platform.add_run(["N:collection:1", "N:collection:2"])
    with pytest.raises(NotFound, match=r"none of its 2 ids .* begins with N:package:"):
        find_target(connected(api), integration_id=run)


def test_a_run_without_a_dataset_fails(api: PennsieveApi, connected: Connect) -> None:
    run = api.platform.add_run(["N:package:1"])
    del api.platform.runs[run]["datasetId"]
    with pytest.raises(Rejected, match="expected a datasetId"):
        find_target(connected(api), integration_id=run)


@pytest.mark.parametrize(
    "sources", [["N:package:1"], {"a": "N:package:1"}, {"a": {"packageIds": 1}}]
)
def test_strange_sources_are_refused(
    api: PennsieveApi, connected: Connect, sources: object
) -> None:
    run = api.platform.add_run(["N:package:1"])
    api.platform.runs[run]["dataSources"] = sources
    with pytest.raises(Rejected, match="expected dataSources to map names"):
        find_target(connected(api), integration_id=run)


def test_a_missing_parent_fails(api: PennsieveApi, connected: Connect) -> None:
    orphan = api.platform.add_package()
    run = api.platform.add_run([orphan.id, "N:package:2"])
    with pytest.raises(NotFound, match=f"package {orphan.id}: it has no parent"):
        find_target(connected(api), integration_id=run)
    run = api.platform.add_run(["N:package:gone", "N:package:2"])
    with pytest.raises(NotFound, match=r"package N:package:gone: .* does not know it"):
        find_target(connected(api), integration_id=run)


def test_a_lookup_survives_a_bad_moment(api: PennsieveApi, connected: Connect) -> None:
    run = api.platform.add_run(["N:package:1"])
    api.faults.add(Fault(route="run", status=503, times=3))
    assert find_target(connected(api), integration_id=run).package_id == "N:package:1"


@pytest.mark.parametrize("kind", ["TimeSeries", "Collection"])
def test_a_dataset_with_a_package(api: PennsieveApi, connected: Connect, kind: str) -> None:
    package = api.platform.add_package(kind)
    first, second = (
        find_target(connected(api), dataset="N:dataset:1", package=package.id) for _ in "ab"
    )
    assert (first.dataset_id, first.package_id) == ("N:dataset:1", package.id)
    assert first.made_up
    assert uuid.UUID(first.integration_id) != uuid.UUID(second.integration_id)


def test_an_unknown_package_is_named(api: PennsieveApi, connected: Connect) -> None:
    with pytest.raises(NotFound, match=r"package N:package:gone: .* does not know it"):
        find_target(connected(api), dataset="N:dataset:1", package="N:package:gone")


def test_a_package_of_another_dataset_is_refused(api: PennsieveApi, connected: Connect) -> None:
    package = api.platform.add_package()
    package.dataset = "N:dataset:1"
    client = connected(api)
    assert find_target(client, dataset="N:dataset:1", package=package.id).package_id == package.id
    with pytest.raises(NotFound, match=r"N:dataset:2: does not hold .*N:dataset:1"):
        find_target(client, dataset="N:dataset:2", package=package.id)


def test_a_package_of_another_type_is_refused(api: PennsieveApi, connected: Connect) -> None:
    package = api.platform.add_package("PDF")
    with pytest.raises(Rejected, match="its type is PDF, expected TimeSeries or Collection"):
        find_target(connected(api), dataset="N:dataset:1", package=package.id)


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"dataset": "d"},
        {"package": "p"},
        {"integration_id": "i", "dataset": "d", "package": "p"},
        {"integration_id": "i", "package": "p"},
        {"integration_id": ""},
    ],
)
def test_half_a_target_is_wrong_usage(
    api: PennsieveApi, connected: Connect, request_: dict[str, str]
) -> None:
    with pytest.raises(UsageError, match="either an integration id, or a dataset with a package"):
        find_target(connected(api), **request_)
    assert api.calls == []


def test_a_package_is_an_object(api: PennsieveApi, connected: Connect) -> None:
    api.platform.describe = lambda package_id: ["a list"]  # type: ignore[assignment,method-assign,return-value]
    with pytest.raises(Rejected, match="expected a JSON object, found list"):
        find_package(connected(api), "N:package:1")
