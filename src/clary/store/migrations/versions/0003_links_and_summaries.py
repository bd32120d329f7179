"""Links between resources, and a summary beside each series."""

import math
from collections.abc import Iterable
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_ROWS_AT_ONCE = 500


def upgrade() -> None:
    _links()
    _columns()
    _fill()


def _id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _name() -> sa.types.TypeEngine[str]:
    return sa.Text(collation="C").with_variant(sa.Text(), "sqlite")


def _links() -> None:
    op.create_table(
        "links",
        sa.Column("id", _id(), nullable=False),
        sa.Column("source", _name(), nullable=False),
        sa.Column("destination", _name(), nullable=False),
        sa.Column("kind", _name(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_links"),
        sa.UniqueConstraint("source", "destination", "kind", name="uq_links_source_destination_kind"),
    )
    op.create_index("ix_links_destination_kind", "links", ["destination", "kind"])
    op.create_index("ix_links_kind_created", "links", ["kind", "created"])


def _columns() -> None:
    op.add_column("series", sa.Column("count", sa.BigInteger(), nullable=False, server_default="0"))
    for name in ("minimum", "maximum", "anchor", "excess", "squares", "last", "last_at"):
        op.add_column("series", sa.Column(name, sa.Double()))
    op.add_column("series", sa.Column("last_step", sa.BigInteger()))
    op.create_index("ix_series_metric_name", "series", ["metric", "name"])


def _fill() -> None:
    """Summaries of the points that are there. All are read once, in the order of the index, not at once."""
    connection = op.get_bind()
    points = sa.text(
        'SELECT series_id, "at", value, step FROM points WHERE value IS NOT NULL ORDER BY series_id, "at", id'
    )
    change = sa.text(
        "UPDATE series SET count = :count, minimum = :minimum, maximum = :maximum, anchor = :anchor, excess = :excess,"
        " squares = :squares, last = :last, last_at = :last_at, last_step = :last_step WHERE id = :id"
    )
    rows: list[dict[str, Any]] = []
    found = connection.execute(points, execution_options={"stream_results": True})
    for number, group in groupby(found, key=lambda row: row[0]):
        rows.append({"id": number, **_summarise(group)})
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        connection.execute(change, rows[first : first + _ROWS_AT_ONCE])


def _summarise(points: Iterable[Any]) -> dict[str, Any]:
    count, anchor, excess, squares = 0, 0.0, 0.0, 0.0
    minimum, maximum = math.inf, -math.inf
    point: Any = None
    for point in points:
        value = point[2]
        if count == 0 and math.isfinite(value):
            anchor = value
        count += 1
        minimum, maximum = min(minimum, value), max(maximum, value)
        distance = value - anchor - excess
        if math.isfinite(distance):
            excess += distance / count
            squares += distance * (value - anchor - excess)
        else:
            excess += value - anchor
            squares = math.nan
    _, last_at, last, last_step = point
    return {
        "count": count,
        "minimum": minimum,
        "maximum": maximum,
        "anchor": anchor,
        "excess": None if math.isnan(excess) else excess,
        "squares": None if math.isnan(squares) else squares,
        "last": last,
        "last_at": last_at,
        "last_step": last_step,
    }
