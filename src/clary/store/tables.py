"""The tables of the store. `migrations/` makes them; a test holds the two to be the same."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, ForeignKey, Index, MetaData, Table, Text, UniqueConstraint

from clary.store.columns import Id, Measure, Name

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# `ready` is when the row can next be claimed: `due`, or the end of its lease if that is later.
# The wide columns come last, so that looking at the narrow ones does not read them.
RESOURCES = Table(
    "resources",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("kind", Name, nullable=False),
    Column("name", Name, nullable=False),
    Column("arn", Name, nullable=False),
    Column("status", Name, nullable=False),
    Column("created", Double, nullable=False),
    Column("modified", Double, nullable=False),
    Column("due", Double),
    Column("ready", Double),
    Column("version", BigInteger, nullable=False),
    Column("lease_owner", Name),
    Column("lease_until", Double),
    Column("state", Text, nullable=False),
    Column("spec", Text, nullable=False),
    UniqueConstraint("kind", "name"),
    UniqueConstraint("arn"),
    # a row number is never given out twice: it tells a row from a later one of the same name
    sqlite_autoincrement=True,
)
Index(None, RESOURCES.c.kind, RESOURCES.c.created, RESOURCES.c.name)
Index(None, RESOURCES.c.kind, RESOURCES.c.modified, RESOURCES.c.name)
Index(None, RESOURCES.c.kind, RESOURCES.c.status, RESOURCES.c.name)
Index(
    "ix_resources_kind_ready",
    RESOURCES.c.kind,
    RESOURCES.c.ready,
    sqlite_where=RESOURCES.c.ready.is_not(None),
    postgresql_where=RESOURCES.c.ready.is_not(None),
)

TAGS = Table(
    "tags",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("arn", Name, nullable=False),
    Column("key", Name, nullable=False),
    Column("value", Name, nullable=False),
    UniqueConstraint("arn", "key"),
)

# From `count` on: the summary of the points, kept by whoever writes points. Sums are taken of what values exceed
# `anchor` by, one of the values, so that little is lost where values are large and close together: `excess` is the mean
# of that, `squares` the sum of the squared distances from the mean.
SERIES = Table(
    "series",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("name", Name, nullable=False),
    Column("metric", Name, nullable=False),
    Column("count", BigInteger, nullable=False, server_default="0"),
    Column("minimum", Double),
    Column("maximum", Double),
    Column("anchor", Double),
    Column("excess", Measure),
    Column("squares", Measure),
    Column("last", Double),
    Column("last_at", Double),
    Column("last_step", BigInteger),
    UniqueConstraint("name", "metric"),
)
Index(None, SERIES.c.metric, SERIES.c.name)

POINTS = Table(
    "points",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("series_id", Id, ForeignKey("series.id", ondelete="CASCADE"), nullable=False),
    Column("at", Double, nullable=False),
    Column("value", Measure),
    Column("step", BigInteger),
)
Index(None, POINTS.c.series_id, POINTS.c.at, POINTS.c.id)

LINKS = Table(
    "links",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("source", Name, nullable=False),
    Column("destination", Name, nullable=False),
    Column("kind", Name, nullable=False),
    Column("created", Double, nullable=False),
    Column("facts", Text, nullable=False),
    UniqueConstraint("source", "destination", "kind"),
)
Index(None, LINKS.c.destination, LINKS.c.kind)
Index(None, LINKS.c.kind, LINKS.c.created)

CREDENTIALS = Table(
    "credentials",
    METADATA,
    Column("access_key_id", Name, primary_key=True),
    Column("secret", Name, nullable=False),
    Column("session_token", Name),
    Column("scope", Name, index=True),
    Column("expires", Double),
)

DOCUMENTS = Table(
    "documents",
    METADATA,
    Column("key", Name, primary_key=True),
    Column("value", Text, nullable=False),
)
