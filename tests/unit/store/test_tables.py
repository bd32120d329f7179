"""The migrations make exactly the tables that the program speaks of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine, text

from clary.objects import tables as object_tables
from clary.store import database, tables
from clary.store.database import open_engine, upgrade

POSTGRES_CATALOGUE = """
    SELECT table_name || ' ' || ordinal_position, column_name, data_type, is_nullable, column_default, collation_name
      FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
    UNION ALL
    SELECT indexname, indexdef, '', '', '', ''
      FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'
    UNION ALL
    SELECT conname, conrelid::regclass::text, pg_get_constraintdef(oid), '', '', ''
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid <> 'alembic_version'::regclass
"""


def make_from_metadata(engine: Engine) -> None:
    tables.METADATA.create_all(engine)
    object_tables.METADATA.create_all(engine)


def sqlite_catalogue(engine: Engine) -> list[tuple[str, list[str]]]:
    """Each table and index by name, with the parts of its statement in any order."""
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE '%alembic_version%'")
        )
        return sorted((name, statement_parts(sql or "")) for name, sql in rows)


def statement_parts(sql: str) -> list[str]:
    """What stands before, between and behind the outermost brackets, cut at its commas."""
    depth, parts = 0, [""]
    for character in sql:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth <= 1 and character in "(,)":
            parts.append("")
        parts[-1] += character
    return sorted(" ".join(part.lstrip("(,").split()) for part in parts)


def postgres_catalogue(engine: Engine) -> list[tuple[str, ...]]:
    with engine.connect() as connection:
        # a table that only one of the two has, so that both can be asked the same question
        connection.execute(text("CREATE TABLE IF NOT EXISTS alembic_version (version_num text)"))
        return sorted(tuple(map(str, row)) for row in connection.execute(text(POSTGRES_CATALOGUE)))


def both(
    first: str, second: str, catalogue: Callable[[Engine], list[object]]
) -> tuple[list[object], list[object]]:
    migrated, declared = open_engine(first), open_engine(second)
    try:
        upgrade(migrated)
        make_from_metadata(declared)
        return catalogue(migrated), catalogue(declared)
    finally:
        migrated.dispose()
        declared.dispose()


def test_on_sqlite(tmp_path: Path) -> None:
    migrated, declared = both(f"sqlite:///{tmp_path}/a.db", f"sqlite:///{tmp_path}/b.db", sqlite_catalogue)
    assert migrated == declared
    assert len(migrated) > 20


def test_on_postgresql(postgres_database: str, second_postgres_database: str) -> None:
    migrated, declared = both(postgres_database, second_postgres_database, postgres_catalogue)
    assert migrated == declared
    assert len(migrated) > 60


def test_each_revision_follows_the_one_before() -> None:
    known = database.known_revisions()
    assert known == [f"{number:04}" for number in range(1, len(known) + 1)]
    for before, revision in zip([None, *known], known, strict=False):
        (path,) = (database.MIGRATIONS / "versions").glob(f"{revision}_*.py")
        source = path.read_text()
        assert f'revision = "{revision}"' in source
        assert ("down_revision = None" if before is None else f'down_revision = "{before}"') in source
        assert "import clary" not in source
        assert "from clary" not in source
