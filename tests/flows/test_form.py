"""The form that the Prefect UI makes of the flow's parameters."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.exceptions import ParameterTypeError
from prefect.utilities.callables import parameter_schema

from flows.nwb_to_pennsieve import nwb_to_pennsieve


@pytest.fixture(scope="module")
def form() -> dict[str, Any]:
    return parameter_schema(nwb_to_pennsieve.fn).model_dump()


def test_every_field_is_described(form: dict[str, Any]) -> None:
    for group in ("ConvertRequest", "UploadRequest"):
        fields = form["definitions"][group]["properties"]
        assert len(fields) >= 7
        assert [name for name, field in fields.items() if not field.get("description")] == []


def test_the_form_has_bounds_choices_toggles_and_a_group_for_the_upload(
    form: dict[str, Any],
) -> None:
    fields = form["definitions"]["ConvertRequest"]["properties"]
    assert (fields["chunk_size_mb"]["minimum"], fields["chunk_size_mb"]["maximum"]) == (1, 1024)
    assert fields["gap_threshold"]["exclusiveMinimum"] == 1.0
    assert fields["level"]["enum"] == [0, 1, 2, 3]
    assert fields["digest"]["enum"] == ["auto", "sha256", "crc32"]
    assert fields["classic"]["type"] == "boolean"
    assert fields["sources"]["items"] == {"type": "string"}
    assert {"$ref": "#/definitions/UploadRequest"} in fields["upload"]["anyOf"]
    assert form["definitions"]["ConvertRequest"]["required"] == ["sources"]


def test_only_the_name_of_a_secret_is_asked_for(form: dict[str, Any]) -> None:
    fields = form["definitions"]["UploadRequest"]["properties"]
    asked = [name for name in fields if any(word in name for word in ("key", "secret", "token"))]
    assert asked == []
    assert "credentials_block" in fields


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"sources": "a.nwb"},
        {"sources": ["a.nwb"], "chunk_size_mb": 0},
        {"sources": ["a.nwb"], "chunk_size_mb": 0.5},
        {"sources": ["a.nwb"], "level": 4},
        {"sources": ["a.nwb"], "digest": "md5"},
        {"sources": ["a.nwb"], "gap_threshold": 1.0},
        {"sources": ["a.nwb"], "upload": {"connections": 257}},
        {"sources": ["a.nwb"], "upload": {"package": 7}},
    ],
)
def test_the_flow_refuses_bad_parameters(bad: dict[str, Any]) -> None:
    with pytest.raises(ParameterTypeError):
        nwb_to_pennsieve.validate_parameters({"request": bad})
