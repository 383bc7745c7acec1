"""Alembic's entry point. The connection comes from `migrations.upgrade`; there is no alembic.ini."""

from alembic import context

from adaptive_engine.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite cannot alter most things in place: Alembic copies the table instead.
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
