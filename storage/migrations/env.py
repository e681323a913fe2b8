"""Run by alembic: makes the revisions on the connection that it is given."""

from __future__ import annotations

from alembic import context

from storage.catalog_schema import VERSION_TABLE
from storage.catalog_tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
context.run_migrations()
