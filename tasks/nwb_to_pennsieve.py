"""The job of ``ranvier convert`` and of the flow of that name: the order of its steps."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from storage.chunk_files import Written
from storage.chunk_output import only_writer, place_output
from storage.errors import AlreadyExists, RanvierError, UsageError
from tasks.callers import Caller
from tasks.nwb import (
    begin_conversion,
    finish_conversion,
    look_at_finished,
    reading_options,
    write_chunks,
    writing_options,
)
from tasks.requests import ConvertRequest, UploadRequest
from tasks.results import ConvertResult
from tasks.sources import find_sources, is_single, output_urls

if TYPE_CHECKING:
    from tasks.pennsieve import Claim

log = logging.getLogger(__name__)

Each = Callable[[ConvertResult], None]
# What the channels of each source that was uploaded in this run take up.
Claims = dict[str, "tuple[Claim, ...]"]


def convert_all(
    request: ConvertRequest, caller: Caller, each: Each = lambda result: None
) -> tuple[ConvertResult, ...]:
    """Convert every source of a request, and upload if it says so.

    A source that fails does not stop the others. The place to upload to is looked up first.

    Parameters
    ----------
    request
        What to do.
    caller
        Calls the steps.
    each
        Told of every result as it comes.

    Raises
    ------
    NotFound
        If a folder holds no NWB file, or the platform does not know the target.
    UsageError
        If the request contradicts itself.
    """
    _check(request)
    target = None
    if request.upload is not None:
        from tasks.pennsieve import find_target

        target = caller.call(find_target, request.upload)
    found = caller.call(find_sources, request.sources)
    outputs = output_urls(found, request.output, is_single(request.sources, found))
    results = []
    claims: Claims = {}
    for source, output in zip(found, outputs, strict=True):
        result = _convert_or_explain(request, source, output, target, caller, claims)
        results.append(result)
        each(result)
    return tuple(results)


def _check(request: ConvertRequest) -> None:
    # What is wrong for every file is wrong usage, not the failure of each.
    reading_options(request)
    writing_options(request)
    upload = request.upload
    if upload is None:
        return
    by_package = upload.dataset is not None and upload.package is not None
    if (upload.integration_id is not None) == by_package or (
        (upload.dataset is None) != (upload.package is None)
    ):
        raise UsageError(
            "an upload needs either a workflow run (--integration-id) or a data set and a package "
            "(--dataset and --package)"
        )


def _convert_or_explain(
    request: ConvertRequest,
    source: str,
    output: str,
    target: object,
    caller: Caller,
    claims: Claims,
) -> ConvertResult:
    result = ConvertResult(source=source, output=output, outcome="failed")
    try:
        result = _convert(request, source, output, caller)
        if request.upload is not None:
            result = _upload(request.upload, target, result, caller, claims)
    except AlreadyExists as error:
        return replace(result, outcome="refused", reason=str(error))
    except RanvierError as error:
        return replace(result, outcome="failed", reason=str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        reason = f"{where}{error.strerror or error}; a rerun goes on where this one stopped"
        return replace(result, outcome="failed", reason=reason)
    except Exception as error:  # outermost frame: this source failed, others go on
        log.debug("conversion failed: %s", source, exc_info=True)
        reason = f"{source}: {type(error).__name__}: {error}".partition("\n")[0]
        return replace(result, outcome="failed", reason=reason)
    return result


def _convert(request: ConvertRequest, source: str, output: str, caller: Caller) -> ConvertResult:
    with only_writer(place_output(output)):
        conversion = caller.call(begin_conversion, request, source, output, caller.run_bytes)
        written = Written()
        if conversion.begun.unchanged:
            finished = caller.call(look_at_finished, conversion)
        else:
            caller.progress.stage(f"converting {source}", conversion.samples, "samples")
            parts = caller.call_each(write_chunks, (conversion,), conversion.runs)
            written = sum(parts, start=Written())
            finished = caller.call(finish_conversion, conversion)
    return ConvertResult(
        source=source,
        output=conversion.begun.output.url,
        outcome="unchanged" if finished.unchanged else "stored",
        series=conversion.series,
        notes=conversion.notes,
        files=finished.files,
        bytes=finished.bytes,
        samples=conversion.samples,
        resumed=written.resumed,
    )


def _upload(
    request: UploadRequest,
    target: object,
    result: ConvertResult,
    caller: Caller,
    claims: Claims,
) -> ConvertResult:
    from tasks.pennsieve import (
        claims_of,
        file_batches,
        prepare_import,
        require_unclaimed,
        upload_batch,
    )

    own = claims_of(result.output)
    require_unclaimed(own, claims)
    claims[result.source] = own

    import_ = caller.call(prepare_import, request, target, result.output)
    # The journal of an upload from a bucket takes one call at a time.
    most = None if result.output.startswith("s3://") else caller.batch_files
    batches = file_batches(result.output, most)
    caller.progress.stage(f"uploading {result.output}", sum(map(len, batches)), "files")
    sent = caller.call_each(upload_batch, (request, import_), batches)
    uploaded = sum(part.sent for part in sent)
    return replace(
        result,
        outcome="stored" if uploaded else result.outcome,
        uploaded=uploaded,
        already_uploaded=sum(part.skipped for part in sent),
        package=import_.target.package_id,
    )
