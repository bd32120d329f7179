"""Buckets, objects, multipart uploads and their parts."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "buckets",
        sa.Column("name", _name(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("region", _name(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_buckets"),
    )
    _objects()
    _uploads()


def _name() -> sa.types.TypeEngine[str]:
    return sa.Text(collation="C").with_variant(sa.Text(), "sqlite")


def _objects() -> None:
    op.create_table(
        "objects",
        sa.Column("bucket", _name(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("etag", _name(), nullable=False),
        sa.Column("modified", sa.Double(), nullable=False),
        sa.Column("upload", _name(), nullable=False),
        sa.Column("meta", sa.Text(), nullable=False),
        sa.Column("segments", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "key", name="pk_objects"),
        sa.ForeignKeyConstraint(["bucket"], ["buckets.name"], name="fk_objects_bucket"),
    )


def _uploads() -> None:
    op.create_table(
        "uploads",
        sa.Column("id", _name(), nullable=False),
        sa.Column("bucket", _name(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("algorithm", _name(), nullable=False),
        sa.Column("meta", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_uploads"),
        sa.ForeignKeyConstraint(["bucket"], ["buckets.name"], name="fk_uploads_bucket"),
    )
    op.create_index("ix_uploads_bucket_key_created", "uploads", ["bucket", "key", "created"])
    op.create_table(
        "parts",
        sa.Column("upload", _name(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("etag", _name(), nullable=False),
        sa.Column("modified", sa.Double(), nullable=False),
        sa.Column("checksums", sa.Text(), nullable=False),
        sa.Column("blob", _name(), nullable=False),
        sa.PrimaryKeyConstraint("upload", "number", name="pk_parts"),
        sa.ForeignKeyConstraint(["upload"], ["uploads.id"], name="fk_parts_upload"),
    )
