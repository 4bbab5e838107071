"""Alembic's entry point: runs migrations on the connection that `redrive.store.migrate` gives."""

from alembic import context

from redrive.store.tables import Table

connection = context.config.attributes.get("connection")

if connection is None:
    context.configure(
        url=context.config.get_main_option("sqlalchemy.url"), target_metadata=Table.metadata, literal_binds=True
    )
    with context.begin_transaction():
        context.run_migrations()
else:
    context.configure(connection=connection, target_metadata=Table.metadata, compare_server_default=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
