"""Run migrations on the connection that ``Store.migrate`` opened."""

from alembic import context

from mlprod_nb.store import tables

context.configure(connection=context.config.attributes["connection"], target_metadata=tables.metadata)
with context.begin_transaction():
    context.run_migrations()
