"""What outlives every generation. SQLAlchemy and Alembic are imported here and in `migrate.py` only."""
