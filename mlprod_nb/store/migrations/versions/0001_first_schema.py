"""Make the first schema."""

from alembic import op

from mlprod_nb.store import append_only, tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table. Until the first release the schema may still change here; after it, by new migrations."""
    tables.metadata.create_all(op.get_bind())
    append_only.protect(op.get_bind())


def downgrade() -> None:
    """Drop every table."""
    tables.metadata.drop_all(op.get_bind())
