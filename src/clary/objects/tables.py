"""The index of the object store as tables. Keys are bytes, so that both databases order them as S3 does.

`meta` and `checksums` are JSON.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

from clary.store.columns import Name

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

BUCKETS = Table(
    "buckets",
    METADATA,
    Column("name", Name, primary_key=True),
    Column("created", Double, nullable=False),
    Column("region", Name, nullable=False),
)

OBJECTS = Table(
    "objects",
    METADATA,
    Column("bucket", Name, ForeignKey("buckets.name"), primary_key=True),
    Column("key", LargeBinary, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("etag", Name, nullable=False),
    Column("modified", Double, nullable=False),
    Column("upload", Name, nullable=False),
    Column("meta", Text, nullable=False),
    # "<blob>:<size>" joined by commas: thousands of parts stay one short text that is read with the row
    Column("segments", Text, nullable=False),
)

UPLOADS = Table(
    "uploads",
    METADATA,
    Column("id", Name, primary_key=True),
    Column("bucket", Name, ForeignKey("buckets.name"), nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("created", Double, nullable=False),
    Column("algorithm", Name, nullable=False),
    Column("meta", Text, nullable=False),
)
Index(None, UPLOADS.c.bucket, UPLOADS.c.key, UPLOADS.c.created)

PARTS = Table(
    "parts",
    METADATA,
    Column("upload", Name, ForeignKey("uploads.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("etag", Name, nullable=False),
    Column("modified", Double, nullable=False),
    Column("checksums", Text, nullable=False),
    Column("blob", Name, nullable=False),
)
