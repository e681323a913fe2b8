"""The triggers of the first revision, for SQLite and for PostgreSQL.

* Rows are added, never changed or removed: every table refuses UPDATE and DELETE, except ``lease``
  (free) and ``chunk_body`` (a row may go when blocks hold its samples).
* SQLite's ``INSERT OR REPLACE`` removes rows without a DELETE trigger unless
  ``recursive_triggers`` is on; a guard before each insert refuses a row whose key is there.
* Chunks of a group do not overlap, and a row of a chain follows from the one before it.
* Samples come with their chunk: none are taken for a chunk that blocks hold.
* A block, a seal, a token or its end is entered right after the row of the chain that tells of it.
* A sealed recording takes no further groups, channels, chunks, blocks, segments or blobs.
* What CHECK says is said again here: SQLite lets anybody switch CHECK off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from storage.catalog_audit import LOCKS

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
    "catalog_event": (("sequence",),),
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
            WHERE chunk.group_id = {row}.group_id AND chunk.start = {row}.start
            AND NOT (
                EXISTS (SELECT 1 FROM block WHERE block.group_id = chunk.group_id
                        AND block.number = chunk.start / rate_group.block_samples
                        AND block.through >= chunk.sequence)
                AND EXISTS (SELECT 1 FROM block WHERE block.group_id = chunk.group_id
                        AND block.number =
                            (chunk.start + chunk.n_samples - 1) / rate_group.block_samples
                        AND block.through >= chunk.sequence)))
"""
_LINKS = {
    "audit": """
    (SELECT hash FROM audit
     WHERE recording_id = NEW.recording_id AND sequence = NEW.sequence - 1)
""",
    "catalog_event": "(SELECT hash FROM catalog_event WHERE sequence = NEW.sequence - 1)",
}
_LAST_OF_GROUP = """
    EXISTS (SELECT 1 FROM rate_group JOIN audit ON audit.recording_id = rate_group.recording_id
            WHERE rate_group.id = NEW.group_id AND audit.sequence = (
                SELECT max(sequence) FROM audit AS other
                WHERE other.recording_id = rate_group.recording_id)
            AND audit.event = 'block' AND audit.group_number = rate_group.number
            AND audit.checksum = NEW.sha256 AND {number} = NEW.number
            AND {generation} = NEW.generation AND {through} = NEW.through)
"""
_LAST_OF_RECORDING = """
    EXISTS (SELECT 1 FROM audit WHERE recording_id = NEW.recording_id AND sequence = (
                SELECT max(sequence) FROM audit AS other
                WHERE other.recording_id = NEW.recording_id)
            AND event = 'sealed' AND sequence = NEW.sequence + 1 AND previous = NEW.head)
"""
_LAST_OF_CATALOG = """
    EXISTS (SELECT 1 FROM catalog_event
            WHERE sequence = (SELECT max(sequence) FROM catalog_event)
            AND event = '{event}' AND subject = {subject})
"""
_NUMBERS = ("number", "generation", "through")
_IN_SQLITE = {name: f"json_extract(audit.detail, '$.{name}')" for name in _NUMBERS}
_IN_POSTGRES = {name: f"(audit.detail ->> '{name}')::bigint" for name in _NUMBERS}
# What one transaction reads of chunks must be all that others have entered.
_ALONE = f"""
    IF current_setting('transaction_isolation') = 'repeatable read' THEN
        RAISE EXCEPTION 'chunk: not in a transaction that is REPEATABLE READ'
        USING ERRCODE = 'integrity_constraint_violation'; END IF;
    PERFORM pg_advisory_xact_lock({LOCKS}, mod(recording_id, 2147483648)::integer)
    FROM rate_group WHERE id = NEW.group_id;
"""


def _sealed(table: str) -> str:
    if table in OF_RECORDING:
        return "EXISTS (SELECT 1 FROM seal WHERE recording_id = NEW.recording_id)"
    return (
        "EXISTS (SELECT 1 FROM rate_group JOIN seal ON seal.recording_id = rate_group.recording_id"
        " WHERE rate_group.id = NEW.group_id)"
    )


def _inserts(table: str, numbers: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield name, condition and reason of each refusal of a new row, the same everywhere.

    Parameters
    ----------
    numbers
        How the numbers of a block are read from its row in the chain.
    """
    if table in OF_RECORDING + OF_GROUP:
        yield "sealed", _sealed(table), f"{table}: the recording is sealed"
    if table == "chunk":
        possible = "NEW.start >= 0 AND NEW.n_samples > 0"
        yield "span", f"NOT ({possible})", "chunk: there is no such span"
        yield "overlap", _OVERLAPS, "chunk: other samples are stored for that span"
    if table == "chunk_body":
        stored = f"NOT {_UNSTORED.format(row='NEW')}"
        yield "stored", stored, "chunk_body: blocks hold these samples, or there is no such chunk"
    told = {
        "block": _LAST_OF_GROUP.format(**numbers),
        "seal": _LAST_OF_RECORDING,
        "token": _LAST_OF_CATALOG.format(event="token", subject="NEW.name"),
        "token_revocation": _LAST_OF_CATALOG.format(
            event="token_revoked", subject="(SELECT name FROM token WHERE id = NEW.token_id)"
        ),
    }
    if table in told:
        reason = f"{table}: the last row of the chain does not tell of it"
        yield "told", f"NOT {told[table]}", reason
    if table in _LINKS:
        first = f"'{'0' * 64}'"
        before = f"CASE WHEN NEW.sequence = 1 THEN {first} ELSE {_LINKS[table]} END"
        # Without the row before, the comparison is neither true nor false.
        wrong = f"NEW.sequence < 1 OR (NEW.previous <> {before}) IS NOT FALSE"
        yield "link", wrong, f"{table}: the row does not follow from the last one"


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
            yield trigger("delete", table, "DELETE", _UNSTORED.format(row="OLD"), reason)
        else:
            yield trigger("delete", table, "DELETE", None, f"{table}: rows are never removed")
        for name, when, reason in _inserts(table, _IN_SQLITE):
            yield trigger(name, table, "INSERT", when, reason)
        same = " OR ".join(
            f"EXISTS (SELECT 1 FROM {table} WHERE "  # noqa: S608
            + " AND ".join(f"{column} = NEW.{column}" for column in columns)
            + ")"
            for columns in keys
        )
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
        checks = [(when, reason) for _, when, reason in _inserts(table, _IN_POSTGRES)]
        if checks:
            first = _ALONE if table == "chunk" else ""
            yield _function(f"guard_{table}_insert", checks, "NEW", first)
            yield (
                f"CREATE TRIGGER guard_{table}_insert BEFORE INSERT ON {table} "
                f"FOR EACH ROW EXECUTE FUNCTION guard_{table}_insert()"
            )
    reason = "chunk_body: no block holds these samples yet"
    unstored = _UNSTORED.format(row="OLD")
    yield _function("guard_chunk_body_delete", [(unstored, reason)], "OLD")
    yield (
        "CREATE TRIGGER guard_chunk_body_delete BEFORE DELETE ON chunk_body "
        "FOR EACH ROW EXECUTE FUNCTION guard_chunk_body_delete()"
    )
    # Samples hardly shrink under the server's own compression, and trying costs time.
    for table in ("chunk_body", "quarantine"):
        yield f"ALTER TABLE {table} ALTER COLUMN body SET STORAGE EXTERNAL"


def _function(name: str, checks: list[tuple[str, str]], returned: str, first: str = "") -> str:
    body = " ".join(
        f"IF {when} THEN RAISE EXCEPTION '{reason}' "
        "USING ERRCODE = 'integrity_constraint_violation'; END IF;"
        for when, reason in checks
    )
    return (
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {first} {body} "
        f"RETURN {returned}; END $$"
    )
