"""A view of what the last revision added, and a comment."""

from alembic import op

revision, down_revision = "0003", "0002"


def upgrade():
    op.execute("create view books_here as select id, title from book where state = 'here'")
    op.execute("comment on table book is 'what the library has'")
