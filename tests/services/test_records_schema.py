"""Requests made up from the OpenAPI document: none breaks the service, or its own document."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.record_posts import PATIENT, RATE, chunk, digital, physical
from tests.support.records_server import RecordsServer

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 25


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordsServer]:
    """Run a service of its own, which holds what made-up requests can find."""
    folder: Path = tmp_path_factory.mktemp("fuzzed")
    with RecordsServer(folder) as server:
        with server.client() as client:
            body = chunk("0", physical(digital(RATE)), patient_id="0")
            assert client.post("/ingest", json=body).status_code == 201
            body = chunk("chb01_03.edf", physical(digital(RATE)), patient_id=PATIENT)
            assert client.post("/ingest", json=body).status_code == 201
        yield server


def _takes_something(operation: Any) -> bool:
    return bool(operation.query or operation.body or operation.path_parameters)


# Hypothesis warns if Python's random state changes meanwhile, which it did once.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_made_up_requests(fuzzed: RecordsServer, mode: schemathesis.GenerationMode) -> None:
    schema = schemathesis.openapi.from_url(f"{fuzzed.url}/openapi.json")
    tried = 0
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def conforms(case: Any) -> None:
            case.call_and_validate(checks=CHECKS)

        if mode is schemathesis.GenerationMode.NEGATIVE and not _takes_something(operation):
            continue
        conforms()
        tried += 1
    assert tried >= 17
    said = fuzzed.log.read_text()
    assert "Traceback" not in said
    with fuzzed.client() as client:
        assert client.get("/health").status_code == 200
