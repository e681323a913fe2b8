"""The first tables, and the triggers that keep them from being changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from storage.migrations.first_guards import postgres_guards, sqlite_guards

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer, "sqlite")
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create everything."""
    _create_tables()
    connection = op.get_bind()
    guards = sqlite_guards if connection.dialect.name == "sqlite" else postgres_guards
    for statement in guards():
        connection.exec_driver_sql(statement)


def downgrade() -> None:
    """Refuse: there is nothing before the first tables."""
    raise NotImplementedError("the first revision has none before it; delete the database instead")


def _create_tables() -> None:
    op.create_table(
        "patient",
        sa.Column("id", KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_patient"),
        sa.UniqueConstraint("name", name="uq_patient_name"),
    )
    op.create_table(
        "token",
        sa.Column("id", KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("patients", sa.JSON(), nullable=True),
        sa.Column("expires_at", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_token"),
        sa.UniqueConstraint("digest", name="uq_token_digest"),
        sa.UniqueConstraint("name", name="uq_token_name"),
    )
    op.create_table(
        "catalog_event",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.CheckConstraint("sequence > 0", name="ck_catalog_event_sequence"),
        sa.PrimaryKeyConstraint("sequence", name="pk_catalog_event"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_catalog_event_event_subject", "catalog_event", ["event", "subject"], unique=False
    )
    op.create_table(
        "recording",
        sa.Column("id", KEY, nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("patient_id", KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("start_us", sa.BigInteger(), nullable=True),
        sa.Column("source_sha256", sa.Text(), nullable=True),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"], name="fk_recording_patient_id"),
        sa.PrimaryKeyConstraint("id", name="pk_recording"),
        sa.UniqueConstraint("patient_id", "name", name="uq_recording_patient_id_name"),
        sa.UniqueConstraint("uuid", name="uq_recording_uuid"),
    )
    op.create_index("ix_recording_name", "recording", ["name"], unique=False)
    op.create_index("ix_recording_source_sha256", "recording", ["source_sha256"], unique=False)
    op.create_table(
        "token_revocation",
        sa.Column("token_id", KEY, nullable=False),
        sa.Column("revoked_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["token_id"], ["token.id"], name="fk_token_revocation_token_id"),
        sa.PrimaryKeyConstraint("token_id", name="pk_token_revocation"),
    )
    op.create_table(
        "annotation",
        sa.Column("id", KEY, nullable=False),
        sa.Column("recording_id", KEY, nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("onset_us", sa.BigInteger(), nullable=False),
        sa.Column("duration_us", sa.BigInteger(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("channels", sa.JSON(), nullable=False),
        sa.Column("beyond_end", sa.Boolean(), nullable=False),
        sa.Column("voided", sa.Boolean(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["recording_id"], ["recording.id"], name="fk_annotation_recording_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_annotation"),
        sa.UniqueConstraint("uuid", "version", name="uq_annotation_uuid_version"),
    )
    op.create_index(
        "ix_annotation_recording_id_onset_us",
        "annotation",
        ["recording_id", "onset_us"],
        unique=False,
    )
    op.create_table(
        "audit",
        sa.Column("recording_id", KEY, nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("group_number", sa.Integer(), nullable=True),
        sa.Column("start", sa.BigInteger(), nullable=True),
        sa.Column("num_samples", sa.BigInteger(), nullable=True),
        sa.Column("checksum", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("ingested_at", sa.Text(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.CheckConstraint("sequence > 0", name="ck_audit_sequence"),
        sa.ForeignKeyConstraint(["recording_id"], ["recording.id"], name="fk_audit_recording_id"),
        sa.PrimaryKeyConstraint("recording_id", "sequence", name="pk_audit"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "blob",
        sa.Column("id", KEY, nullable=False),
        sa.Column("recording_id", KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("encrypted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["recording_id"], ["recording.id"], name="fk_blob_recording_id"),
        sa.PrimaryKeyConstraint("id", name="pk_blob"),
        sa.UniqueConstraint("recording_id", "name", name="uq_blob_recording_id_name"),
    )
    op.create_table(
        "computed",
        sa.Column("id", KEY, nullable=False),
        sa.Column("recording_id", KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("source_digest", sa.Text(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("processing_version", sa.Text(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["recording_id"], ["recording.id"], name="fk_computed_recording_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_computed"),
    )
    op.create_index(
        "ix_computed_recording_id_name", "computed", ["recording_id", "name"], unique=False
    )
    op.create_table(
        "lease",
        sa.Column("recording_id", KEY, nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("until", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["recording_id"], ["recording.id"], name="fk_lease_recording_id"),
        sa.PrimaryKeyConstraint("recording_id", name="pk_lease"),
    )
    op.create_table(
        "rate_group",
        sa.Column("id", KEY, nullable=False),
        sa.Column("recording_id", KEY, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("rate_numerator", sa.BigInteger(), nullable=False),
        sa.Column("rate_denominator", sa.BigInteger(), nullable=False),
        sa.Column("dtype", sa.Text(), nullable=False),
        sa.Column("codec", sa.Text(), nullable=False),
        sa.Column("chunk_samples", sa.BigInteger(), nullable=False),
        sa.Column("block_samples", sa.BigInteger(), nullable=False),
        sa.Column("declared", sa.Boolean(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["recording_id"], ["recording.id"], name="fk_rate_group_recording_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_rate_group"),
        sa.UniqueConstraint("recording_id", "number", name="uq_rate_group_recording_id_number"),
    )
    op.create_table(
        "seal",
        sa.Column("recording_id", KEY, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.Text(), nullable=False),
        sa.Column("sealed_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["recording_id"], ["recording.id"], name="fk_seal_recording_id"),
        sa.PrimaryKeyConstraint("recording_id", name="pk_seal"),
    )
    op.create_table(
        "block",
        sa.Column("id", KEY, nullable=False),
        sa.Column("group_id", KEY, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("through", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["rate_group.id"], name="fk_block_group_id"),
        sa.PrimaryKeyConstraint("id", name="pk_block"),
        sa.UniqueConstraint(
            "group_id", "number", "generation", name="uq_block_group_id_number_generation"
        ),
    )
    op.create_table(
        "channel",
        sa.Column("id", KEY, nullable=False),
        sa.Column("group_id", KEY, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("electrode_group", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("factor", sa.Double(), nullable=False),
        sa.Column("factor_type", sa.Text(), nullable=False),
        sa.Column("offset", sa.Double(), nullable=False),
        sa.Column("offset_type", sa.Text(), nullable=False),
        sa.Column("to_unit", sa.Double(), nullable=False),
        sa.Column("in_double", sa.Boolean(), nullable=False),
        sa.Column("dummy", sa.Boolean(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["rate_group.id"], name="fk_channel_group_id"),
        sa.PrimaryKeyConstraint("id", name="pk_channel"),
        sa.UniqueConstraint("group_id", "number", name="uq_channel_group_id_number"),
    )
    op.create_table(
        "chunk",
        sa.Column("group_id", KEY, nullable=False),
        sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("n_samples", sa.BigInteger(), nullable=False),
        sa.Column("shift_us", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("start >= 0 AND n_samples > 0", name="ck_chunk_span"),
        sa.ForeignKeyConstraint(["group_id"], ["rate_group.id"], name="fk_chunk_group_id"),
        sa.PrimaryKeyConstraint("group_id", "start", name="pk_chunk"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "quarantine",
        sa.Column("id", KEY, nullable=False),
        sa.Column("group_id", KEY, nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("n_samples", sa.BigInteger(), nullable=False),
        sa.Column("shift_us", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["rate_group.id"], name="fk_quarantine_group_id"),
        sa.PrimaryKeyConstraint("id", name="pk_quarantine"),
        sa.UniqueConstraint(
            "group_id",
            "start",
            "n_samples",
            "shift_us",
            "sha256",
            name="uq_quarantine_group_id_start_n_samples_shift_us_sha256",
        ),
    )
    op.create_table(
        "segment",
        sa.Column("id", KEY, nullable=False),
        sa.Column("group_id", KEY, nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("n_samples", sa.BigInteger(), nullable=False),
        sa.Column("shift_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["rate_group.id"], name="fk_segment_group_id"),
        sa.PrimaryKeyConstraint("id", name="pk_segment"),
        sa.UniqueConstraint("group_id", "start", name="uq_segment_group_id_start"),
    )
    op.create_table(
        "chunk_body",
        sa.Column("group_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id", "start"],
            ["chunk.group_id", "chunk.start"],
            name="fk_chunk_body_group_id_start",
        ),
        sa.PrimaryKeyConstraint("group_id", "start", name="pk_chunk_body"),
    )
