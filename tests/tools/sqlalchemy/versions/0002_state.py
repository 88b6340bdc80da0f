"""A type of its own, and a column of it."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade():
    state = sa.Enum("lent", "here", name="book_state")
    state.create(op.get_bind())
    op.add_column("book", sa.Column("state", state, nullable=False, server_default="here"))
    op.alter_column("book", "title", existing_type=sa.Text, type_=sa.String(200))
