"""What OpenAPI says beyond the routes: problem bodies, and models that no route mentions."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from realtime.runtime.problems import MEDIA_TYPE
from realtime.wire.records import IngestChunk, ProblemBody

DESCRIPTION = """Recordings of the brain: chunks come in, are stored for good and can be proven;
any window of them goes out.

Times are seconds from the start of a recording; windows are half-open. A `recording_id` is the
client's own or the UUID; where several patients have one of that name, add `patient_id`.
"""
MEANING = {
    304: "Not changed since.",
    400: "The body is no text.",
    401: "No valid token.",
    403: "The token lacks the scope.",
    404: "No such recording, or not one that the token opens.",
    406: "None of the forms that are accepted.",
    409: "It contradicts what is stored.",
    413: "Too much at once; the body says how to ask.",
    415: "Not a form that is taken.",
    422: "A field or parameter is missing or wrong; the body names it.",
    503: "Too much waits just now; try again.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the problem answers of a route."""
    schema = {"$ref": "#/components/schemas/ProblemBody"}
    return {
        status: {"description": MEANING[status], "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def describe(app: FastAPI) -> None:
    """Let an application publish the models that its routes only name."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            schemas = made["components"]["schemas"]
            for model in (IngestChunk, ProblemBody):
                schemas[model.__name__] = model.model_json_schema(
                    ref_template="#/components/schemas/{model}"
                )
            # Refused parameters are problems like all others.
            schemas.pop("HTTPValidationError", None)
            schemas.pop("ValidationError", None)
            refused = problems(422)[422]
            for path in made["paths"].values():
                for operation in path.values():
                    if "422" in operation.get("responses", {}):
                        operation["responses"]["422"] = refused
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
