"""Alembic's environment. It only ever renders SQL (Alembic's offline mode): `migrate.py` runs that over asyncpg, in one
transaction and under its lock, so that neither a second driver nor SQLAlchemy's engine is needed."""

from alembic import context

context.configure(
    dialect_name="postgresql",
    dialect_opts={"paramstyle": "named"},  # leaves the per cent signs of `format` alone
    version_table_schema="readmodel",
    transactional_ddl=False,
)
context.run_migrations()
