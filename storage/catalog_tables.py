"""The tables of the catalogue: what is known of each recording, who sent what when, and the chain.

Rows are added and never changed. Only ``lease`` and ``chunk_body`` lose rows: the first says who
works on a recording just now, the second holds samples until they rest in the Zarr store.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    Uuid,
)

from storage.column_types import Document, Whole, Words


class Instant(TypeDecorator[datetime]):
    """A moment in UTC, whatever the database makes of time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a time without a zone: nobody could say when it was."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002
    ) -> datetime | None:
        """Return it in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)
# SQLite numbers rows by itself only where the key is a plain INTEGER.
Key = BigInteger().with_variant(Integer, "sqlite")

patient = Table(
    "patient",
    metadata,
    Column("id", Key, primary_key=True),
    Column("name", Words, nullable=False, unique=True),  # a pseudonym, as the client gives it
    Column("created_at", Instant, nullable=False),
)

recording = Table(
    "recording",
    metadata,
    Column("id", Key, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("patient_id", ForeignKey("patient.id"), nullable=False),
    Column("name", Words, nullable=False),  # the client's recording_id
    Column("kind", Words, nullable=False),  # "live", or the format of the file: edf, bdf, xdf, ...
    Column("start_us", Whole),  # microseconds since 1970 UTC; null: unknown
    Column("source_sha256", Words),  # of the file, where there was one
    Column("notes", Document, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("patient_id", "name"),
    Index(None, "name"),
    Index(None, "source_sha256"),
)

rate_group = Table(
    "rate_group",
    metadata,
    Column("id", Key, primary_key=True),
    Column("recording_id", ForeignKey("recording.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("name", Words, nullable=False),
    Column("rate_numerator", Whole, nullable=False),  # samples ...
    Column("rate_denominator", Whole, nullable=False),  # ... per so many seconds
    Column("dtype", Text, nullable=False),  # int16, int32, float32 or float64
    Column("codec", Words, nullable=False),
    Column("chunk_samples", Whole, nullable=False),  # of a Zarr chunk
    Column("block_samples", Whole, nullable=False),  # of a Zarr shard
    Column("declared", Boolean, nullable=False),  # values are calibrated integers
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("recording_id", "number"),
)

channel = Table(
    "channel",
    metadata,
    Column("id", Key, primary_key=True),
    Column("group_id", ForeignKey("rate_group.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("label", Words, nullable=False),  # as the source gives it
    Column("key", Words, nullable=False),  # unique in the recording: T8-P8, T8-P8#2
    Column("electrode_group", Words, nullable=False),
    Column("unit", Words, nullable=False),
    Column("factor", Double, nullable=False),
    Column("factor_type", Text, nullable=False),  # float, or NumPy's name: it decides precision
    Column("offset", Double, nullable=False),
    Column("offset_type", Text, nullable=False),
    Column("to_unit", Double, nullable=False),
    Column("in_double", Boolean, nullable=False),
    Column("dummy", Boolean, nullable=False),  # kept for export, hidden otherwise
    Column("details", Document, nullable=False),
    UniqueConstraint("group_id", "number"),
)

chunk = Table(
    "chunk",
    metadata,
    Column("group_id", ForeignKey("rate_group.id"), primary_key=True),
    Column("start", BigInteger, primary_key=True, autoincrement=False),  # on the group's grid
    Column("n_samples", BigInteger, nullable=False),  # of each channel
    Column("shift_us", BigInteger, nullable=False),  # its first sample was that much later
    Column("sha256", Text, nullable=False),  # of its canonical bytes
    Column("sequence", BigInteger, nullable=False),  # of its row in the audit chain
    CheckConstraint("start >= 0 AND n_samples > 0", name="span"),
    sqlite_with_rowid=False,
)

chunk_body = Table(
    "chunk_body",
    metadata,
    Column("group_id", BigInteger, primary_key=True, autoincrement=False),
    Column("start", BigInteger, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),  # little-endian, channel after channel
    ForeignKeyConstraint(["group_id", "start"], ["chunk.group_id", "chunk.start"]),
)

audit = Table(
    "audit",
    metadata,
    Column("recording_id", ForeignKey("recording.id"), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    # created, group, chunk, conflict, blob, block, annotation, sealed, exported, ...
    Column("event", Text, nullable=False),
    Column("group_number", Integer),
    Column("start", BigInteger),
    Column("num_samples", BigInteger),  # of each channel
    Column("checksum", Text),
    Column("source", Words, nullable=False),  # who or what did it
    Column("detail", JSON, nullable=False),
    Column("ingested_at", Text, nullable=False),  # ISO 8601 UTC, exactly as it was hashed
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
    CheckConstraint("sequence > 0", name="sequence"),
    sqlite_with_rowid=False,
)

block = Table(
    "block",
    metadata,
    Column("id", Key, primary_key=True),
    Column("group_id", ForeignKey("rate_group.id"), nullable=False),
    Column("number", BigInteger, nullable=False),  # along the grid
    Column("generation", Integer, nullable=False),  # the highest one counts
    # Holds each chunk of its span whose row in the audit chain is not after that one.
    Column("through", BigInteger, nullable=False),
    Column("key", Text, nullable=False),  # of the shard below the recording's folder
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),  # of the shard
    Column("files", JSON, nullable=False),  # overview and density pieces: key -> sha256
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("group_id", "number", "generation"),
)

segment = Table(
    "segment",
    metadata,
    Column("id", Key, primary_key=True),  # written when a recording is sealed
    Column("group_id", ForeignKey("rate_group.id"), nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("n_samples", BigInteger, nullable=False),
    Column("shift_us", BigInteger, nullable=False),
    UniqueConstraint("group_id", "start"),
)

seal = Table(
    "seal",
    metadata,
    Column("recording_id", ForeignKey("recording.id"), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("head", Text, nullable=False),  # hash of the last audit row before sealing
    Column("sealed_at", Instant, nullable=False),
)

blob = Table(
    "blob",
    metadata,
    Column("id", Key, primary_key=True),
    Column("recording_id", ForeignKey("recording.id"), nullable=False),
    Column("name", Words, nullable=False),  # header, identity, annotations, tail, ...
    Column("key", Words, nullable=False),  # of the file below the recording's folder
    Column("bytes", BigInteger, nullable=False),  # of the content
    Column("sha256", Text, nullable=False),  # of the file as it rests
    Column("encrypted", Boolean, nullable=False),
    UniqueConstraint("recording_id", "name"),
)

annotation = Table(
    "annotation",
    metadata,
    Column("id", Key, primary_key=True),
    Column("recording_id", ForeignKey("recording.id"), nullable=False),
    Column("uuid", Uuid, nullable=False),
    Column("version", Integer, nullable=False),
    Column("onset_us", Whole, nullable=False),
    Column("duration_us", Whole),
    Column("text", Words, nullable=False),
    Column("kind", Words, nullable=False),
    Column("source", Words, nullable=False),
    Column("channels", Document, nullable=False),
    Column("beyond_end", Boolean, nullable=False),
    Column("voided", Boolean, nullable=False),
    Column("author", Words, nullable=False),
    Column("reason", Words),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("uuid", "version"),
    Index(None, "recording_id", "onset_us"),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", Key, primary_key=True),
    Column("group_id", ForeignKey("rate_group.id"), nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("n_samples", BigInteger, nullable=False),
    Column("shift_us", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("source", Words, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("received_at", Instant, nullable=False),
    UniqueConstraint("group_id", "start", "n_samples", "shift_us", "sha256"),
)

computed = Table(
    "computed",
    metadata,
    Column("id", Key, primary_key=True),
    Column("recording_id", ForeignKey("recording.id"), nullable=False),
    Column("name", Words, nullable=False),
    Column("source_digest", Words, nullable=False),
    Column("parameters", Document, nullable=False),
    Column("processing_version", Words, nullable=False),
    Column("result", Document, nullable=False),
    Column("created_at", Instant, nullable=False),
    Index(None, "recording_id", "name"),
)

token = Table(
    "token",
    metadata,
    Column("id", Key, primary_key=True),
    Column("name", Words, nullable=False, unique=True),
    Column("digest", Text, nullable=False, unique=True),  # SHA-256 of the secret
    Column("scopes", Document, nullable=False),
    Column("patients", Document),  # names; null: all
    Column("expires_at", Instant),
    Column("created_at", Instant, nullable=False),
)

token_revocation = Table(
    "token_revocation",
    metadata,
    Column("token_id", ForeignKey("token.id"), primary_key=True),
    Column("revoked_at", Instant, nullable=False),
)

# The chain of what concerns no single recording.
catalog_event = Table(
    "catalog_event",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("event", Text, nullable=False),  # token, token_revoked, identity_key
    Column("subject", Words, nullable=False),  # name of the token, or id of the key
    Column("detail", Document, nullable=False),
    Column("at", Text, nullable=False),  # ISO 8601 UTC, exactly as it was hashed
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
    CheckConstraint("sequence > 0", name="sequence"),
    Index(None, "event", "subject"),
    sqlite_with_rowid=False,
)

lease = Table(
    "lease",
    metadata,
    Column("recording_id", ForeignKey("recording.id"), primary_key=True),
    Column("holder", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("until", Instant, nullable=False),
)
