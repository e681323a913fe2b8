"""The triggers of the first revision, for SQLite and for PostgreSQL.

* Rows are added, never changed or removed: every table refuses UPDATE and DELETE, except ``lease``
  (free) and ``chunk_body`` (a row may go when blocks hold its samples).
* SQLite's ``INSERT OR REPLACE`` removes rows without a DELETE trigger unless
  ``recursive_triggers`` is on; a guard before each insert refuses a row whose key is there.
* Chunks of a group do not overlap, and a row of the chain follows from the one before it.
* A sealed recording takes no further groups, channels, chunks, blocks, segments or blobs.
"""

from __future__ import annotations

from collections.abc import Iterator

# Columns that identify a row, of every table whose rows stay.
KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "patient": (("id",), ("name",)),
    "recording": (("id",), ("uuid",), ("patient_id", "name")),
    "rate_group": (("id",), ("recording_id", "number")),
    "channel": (("id",), ("group_id", "number")),
    "chunk": (("group_id", "start"),),
    "chunk_body": (("group_id", "start"),),
    "audit": (("recording_id", "sequence"),),
    "block": (("id",), ("group_id", "number", "generation")),
    "segment": (("id",), ("group_id", "start")),
    "seal": (("recording_id",),),
    "blob": (("id",), ("recording_id", "name")),
    "annotation": (("id",), ("uuid", "version")),
    "quarantine": (("id",), ("group_id", "start", "n_samples", "shift_us", "sha256")),
    "computed": (("id",),),
    "token": (("id",), ("name",), ("digest",)),
    "token_revocation": (("token_id",),),
}
OF_RECORDING = ("rate_group", "blob")
OF_GROUP = ("channel", "chunk", "chunk_body", "block", "segment")

_OVERLAPS = """
    EXISTS (SELECT 1 FROM chunk WHERE group_id = NEW.group_id
            AND start >= NEW.start AND start < NEW.start + NEW.n_samples)
    OR EXISTS (SELECT 1 FROM chunk WHERE group_id = NEW.group_id
            AND start = (SELECT max(start) FROM chunk
                         WHERE group_id = NEW.group_id AND start < NEW.start)
            AND start + n_samples > NEW.start)
"""
# A chunk is no longer than a block, so that it meets two of them at most.
_UNSTORED = """
    EXISTS (SELECT 1 FROM chunk JOIN rate_group ON rate_group.id = chunk.group_id
            WHERE chunk.group_id = OLD.group_id AND chunk.start = OLD.start
            AND NOT (
                EXISTS (SELECT 1 FROM block WHERE block.group_id = chunk.group_id
                        AND block.number = chunk.start / rate_group.block_samples
                        AND block.through >= chunk.sequence)
                AND EXISTS (SELECT 1 FROM block WHERE block.group_id = chunk.group_id
                        AND block.number =
                            (chunk.start + chunk.n_samples - 1) / rate_group.block_samples
                        AND block.through >= chunk.sequence)))
"""
_LINK = """
    (SELECT hash FROM audit
     WHERE recording_id = NEW.recording_id AND sequence = NEW.sequence - 1)
"""


def _sealed(table: str) -> str:
    if table in OF_RECORDING:
        return "EXISTS (SELECT 1 FROM seal WHERE recording_id = NEW.recording_id)"
    return (
        "EXISTS (SELECT 1 FROM rate_group JOIN seal ON seal.recording_id = rate_group.recording_id"
        " WHERE rate_group.id = NEW.group_id)"
    )


def _inserts(table: str) -> Iterator[tuple[str, str, str]]:
    """Yield name, condition and reason of each refusal of a new row, the same everywhere."""
    if table in OF_RECORDING + OF_GROUP:
        yield "sealed", _sealed(table), f"{table}: the recording is sealed"
    if table == "chunk":
        yield "overlap", _OVERLAPS, "chunk: other samples are stored for that span"
    if table == "audit":
        first = f"'{'0' * 64}'"
        wrong = f"NEW.previous <> CASE WHEN NEW.sequence = 1 THEN {first} ELSE {_LINK} END"
        # Without the row before, the comparison is neither true nor false.
        yield "link", f"({wrong}) IS NOT FALSE", "audit: the row does not follow from the last one"


def sqlite_guards() -> Iterator[str]:
    """Yield the statements that make the triggers in SQLite."""

    def trigger(name: str, table: str, what: str, when: str | None, reason: str) -> str:
        condition = f" WHEN {when}" if when else ""
        return (
            f"CREATE TRIGGER guard_{table}_{name} BEFORE {what} ON {table} FOR EACH ROW{condition} "
            f"BEGIN SELECT RAISE(ABORT, '{reason}'); END"
        )

    for table, keys in KEYS.items():
        yield trigger("update", table, "UPDATE", None, f"{table}: rows are never changed")
        if table == "chunk_body":
            reason = "chunk_body: no block holds these samples yet"
            yield trigger("delete", table, "DELETE", _UNSTORED, reason)
        else:
            yield trigger("delete", table, "DELETE", None, f"{table}: rows are never removed")
        for name, when, reason in _inserts(table):
            yield trigger(name, table, "INSERT", when, reason)
        same = " OR ".join(
            f"EXISTS (SELECT 1 FROM {table} WHERE "  # noqa: S608
            + " AND ".join(f"{column} = NEW.{column}" for column in columns)
            + ")"
            for columns in keys
        )
        if table != "chunk":
            # The guard against overlap says it of chunks.
            yield trigger("replace", table, "INSERT", same, f"{table}: such a row is there already")


def postgres_guards() -> Iterator[str]:
    """Yield the statements that make the triggers in PostgreSQL."""
    yield (
        "CREATE FUNCTION guard_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ': rows are never changed or removed', "
        "ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    for table in KEYS:
        removing = "UPDATE" if table == "chunk_body" else "UPDATE OR DELETE"
        yield (
            f"CREATE TRIGGER guard_{table}_change BEFORE {removing} ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION guard_refuse()"
        )
        yield (
            f"CREATE TRIGGER guard_{table}_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION guard_refuse()"
        )
        checks = [(when, reason) for _, when, reason in _inserts(table)]
        if checks:
            yield _function(f"guard_{table}_insert", checks, "NEW")
            yield (
                f"CREATE TRIGGER guard_{table}_insert BEFORE INSERT ON {table} "
                f"FOR EACH ROW EXECUTE FUNCTION guard_{table}_insert()"
            )
    reason = "chunk_body: no block holds these samples yet"
    yield _function("guard_chunk_body_delete", [(_UNSTORED, reason)], "OLD")
    yield (
        "CREATE TRIGGER guard_chunk_body_delete BEFORE DELETE ON chunk_body "
        "FOR EACH ROW EXECUTE FUNCTION guard_chunk_body_delete()"
    )
    # Samples hardly shrink under the server's own compression, and trying costs time.
    for table in ("chunk_body", "quarantine"):
        yield f"ALTER TABLE {table} ALTER COLUMN body SET STORAGE EXTERNAL"


def _function(name: str, checks: list[tuple[str, str]], returned: str) -> str:
    body = " ".join(
        f"IF {when} THEN RAISE EXCEPTION '{reason}' "
        "USING ERRCODE = 'integrity_constraint_violation'; END IF;"
        for when, reason in checks
    )
    return (
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} "
        f"RETURN {returned}; END $$"
    )
