"""The container processor: what the environment asks for, as a conversion."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from deployments.cli.progress import LineProgress
from deployments.cli.report import print_result
from storage.errors import NotFound, RanvierError, UnsupportedRecording, UsageError
from tasks.callers import DirectCaller
from tasks.dry_run import plan_conversion
from tasks.nwb_to_pennsieve import convert_all
from tasks.requests import ConvertRequest, UploadRequest

FAILED, WRONG_SETTING, NOTHING_PRODUCED, NOTHING_IMPORTED = 1, 2, 3, 4


def _flag(value: Any) -> bool | None:
    # Only these two mean yes to the existing processor; anything else means no.
    return None if value in (None, "") else str(value).strip().lower() in ("true", "1")


Flag = Annotated[bool | None, BeforeValidator(_flag)]


class ProcessorSettings(BaseSettings):
    """The variables of the container processor."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    input_dir: Path
    output_dir: Path
    chunk_size_mb: int = Field(default=1, ge=1)
    environment: str = "local"
    importer_enabled: Flag = None
    integration_id: str | None = None
    pennsieve_api_host: str = "https://api.pennsieve.net"
    pennsieve_api_host2: str = "https://api2.pennsieve.net"
    tz: str | None = None
    ranvier_classic: Flag = None
    ranvier_overwrite: Flag = None

    @property
    def imports(self) -> bool:
        """Whether the output is to be imported: as set, else unless local."""
        if self.importer_enabled is not None:
            return self.importer_enabled
        return self.environment != "local"


def run_processor() -> int:
    """Run once, say what happened, and return the exit code."""
    try:
        settings = _settings()
        request = _request(settings)
    except UsageError as error:
        return _stop(WRONG_SETTING, error)
    except (RanvierError, OSError) as error:
        return _stop(FAILED, error)
    try:
        plan_conversion(request, request.sources[0], str(request.output))
        (result,) = convert_all(request, DirectCaller(LineProgress()))
    except UnsupportedRecording as error:
        return _stop(NOTHING_PRODUCED, error)
    except UsageError as error:
        return _stop(WRONG_SETTING, error)
    except (RanvierError, OSError) as error:
        return _stop(FAILED, error)
    print_result(result)
    if result.outcome in ("stored", "unchanged"):
        return 0
    return NOTHING_IMPORTED if result.files else FAILED


def _stop(code: int, error: Exception) -> int:
    print(f"ranvier: {error}", file=sys.stderr)
    return code


def _settings() -> ProcessorSettings:
    try:
        return ProcessorSettings()  # type: ignore[call-arg]  # the environment fills it
    except ValidationError as error:
        wrong = ", ".join(
            f"{str(problem['loc'][0]).upper()} ({problem['msg'].lower()})"
            for problem in error.errors(include_input=False)
        )
        raise UsageError(f"environment variables missing or wrong: {wrong}") from None


def _request(settings: ProcessorSettings) -> ConvertRequest:
    if settings.imports and not settings.integration_id:
        raise UsageError(
            "INTEGRATION_ID is not set, and IMPORTER_ENABLED asks for an import; set one of them"
        )
    source = _only_nwb(settings.input_dir)
    settings.output_dir.mkdir(parents=True, exist_ok=True)
    return ConvertRequest(
        sources=(str(source),),
        output=str(settings.output_dir.absolute()),
        chunk_size_mb=settings.chunk_size_mb,
        timezone=settings.tz or "UTC",
        classic=bool(settings.ranvier_classic),
        overwrite=bool(settings.ranvier_overwrite),
        upload=UploadRequest(
            integration_id=settings.integration_id,
            api_host=settings.pennsieve_api_host,
            api2_host=settings.pennsieve_api_host2,
        )
        if settings.imports
        else None,
    )


def _only_nwb(folder: Path) -> Path:
    if not folder.is_dir():
        raise NotFound(f"INPUT_DIR {folder}: there is no such folder")
    found = sorted(
        path for path in folder.iterdir() if path.name.lower().endswith((".nwb", ".nwb.zarr"))
    )
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise RanvierError(f"INPUT_DIR {folder}: expected exactly one .nwb file, found {names}")
    return found[0].absolute()
