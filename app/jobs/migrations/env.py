"""How Alembic reaches the database: on the connection that `app.jobs.schema.migrate` holds under its lock."""

from __future__ import annotations

from alembic import context

from app.jobs.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table="phasegap_schema_version",
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
