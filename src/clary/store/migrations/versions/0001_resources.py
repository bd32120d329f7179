"""Resources, tags, series, points, credentials and documents."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _resources()
    _tags()
    _series()
    _credentials()
    op.create_table(
        "documents",
        sa.Column("key", _name(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_documents"),
    )


def _id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _name() -> sa.types.TypeEngine[str]:
    return sa.Text(collation="C").with_variant(sa.Text(), "sqlite")


def _resources() -> None:
    op.create_table(
        "resources",
        sa.Column("id", _id(), nullable=False),
        sa.Column("kind", _name(), nullable=False),
        sa.Column("name", _name(), nullable=False),
        sa.Column("arn", _name(), nullable=False),
        sa.Column("status", _name(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("modified", sa.Double(), nullable=False),
        sa.Column("due", sa.Double()),
        sa.Column("ready", sa.Double()),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("lease_owner", _name()),
        sa.Column("lease_until", sa.Double()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_resources"),
        sa.UniqueConstraint("kind", "name", name="uq_resources_kind_name"),
        sa.UniqueConstraint("arn", name="uq_resources_arn"),
        sqlite_autoincrement=True,
    )
    for column in ("created", "modified", "status"):
        op.create_index(f"ix_resources_kind_{column}_name", "resources", ["kind", column, "name"])
    op.create_index(
        "ix_resources_kind_ready",
        "resources",
        ["kind", "ready"],
        sqlite_where=sa.text("ready IS NOT NULL"),
        postgresql_where=sa.text("ready IS NOT NULL"),
    )


def _tags() -> None:
    op.create_table(
        "tags",
        sa.Column("id", _id(), nullable=False),
        sa.Column("arn", _name(), nullable=False),
        sa.Column("key", _name(), nullable=False),
        sa.Column("value", _name(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tags"),
        sa.UniqueConstraint("arn", "key", name="uq_tags_arn_key"),
    )


def _series() -> None:
    op.create_table(
        "series",
        sa.Column("id", _id(), nullable=False),
        sa.Column("name", _name(), nullable=False),
        sa.Column("metric", _name(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_series"),
        sa.UniqueConstraint("name", "metric", name="uq_series_name_metric"),
    )
    op.create_table(
        "points",
        sa.Column("id", _id(), nullable=False),
        sa.Column("series_id", _id(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("value", sa.Double()),
        sa.Column("step", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_points"),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_points_series_id", ondelete="CASCADE"),
    )
    op.create_index("ix_points_series_id_at_id", "points", ["series_id", "at", "id"])


def _credentials() -> None:
    op.create_table(
        "credentials",
        sa.Column("access_key_id", _name(), nullable=False),
        sa.Column("secret", _name(), nullable=False),
        sa.Column("session_token", _name()),
        sa.Column("scope", _name()),
        sa.Column("expires", sa.Double()),
        sa.PrimaryKeyConstraint("access_key_id", name="pk_credentials"),
    )
    op.create_index("ix_credentials_scope", "credentials", ["scope"])
