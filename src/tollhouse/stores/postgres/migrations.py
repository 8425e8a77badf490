"""Making the tables, and bringing them up to what a newer version needs.

What is needed is a list of units: a table, a column, a constraint, each with the SQL that makes it and
the SQL that takes it away. The database remembers the units it has, so `up` makes those that are missing.
Units which this version no longer wants stay until `finish`, so that nodes of the version before can go on
meanwhile. Everything happens in one transaction under a lock: two nodes may try at the same time.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import asyncpg
import msgspec

from tollhouse import __version__
from tollhouse.model.entities import ENTITIES, Kind
from tollhouse.stores.postgres import counting, sessions, values
from tollhouse.stores.postgres.faults import NotBootstrapped, translated
from tollhouse.stores.postgres.server import Server, connect, quoted
from tollhouse.stores.postgres.tables import OWNER, Table, table_of

#: "toll" and "hous", as numbers: the lock that migrations of all schemas share
_LOCK: Final = (0x746F6C6C, 0x686F7573)
_FILL_ROWS: Final = 1000
#: changes are remembered for so many versions; who is further behind reads everything
_KEPT_VERSIONS: Final = 1000

_BASE: Final = f"""
CREATE TABLE tollhouse_state (
  sole boolean PRIMARY KEY DEFAULT true CHECK (sole),
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  version bigint NOT NULL DEFAULT 0,
  changed_by xid8,
  software text NOT NULL
);
CREATE TABLE tollhouse_migrations (
  name text PRIMARY KEY, undo text NOT NULL, executed_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE tollhouse_changes (version bigint NOT NULL, kind text NOT NULL, id uuid NOT NULL);
CREATE INDEX tollhouse_changes_version ON tollhouse_changes (version);
CREATE FUNCTION tollhouse_note_changes() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  reached bigint;
BEGIN
  IF NOT EXISTS (SELECT FROM changed) THEN
    RETURN NULL;
  END IF;
  UPDATE tollhouse_state SET version = version + 1, changed_by = pg_current_xact_id()
    WHERE changed_by IS DISTINCT FROM pg_current_xact_id() RETURNING version INTO reached;
  IF FOUND THEN
    PERFORM pg_notify(left('tollhouse_' || current_schema(), 63), '');
    DELETE FROM tollhouse_changes WHERE version <= reached - {_KEPT_VERSIONS};
  ELSE
    SELECT version INTO reached FROM tollhouse_state;
  END IF;
  INSERT INTO tollhouse_changes SELECT reached, TG_ARGV[0], id FROM changed;
  RETURN NULL;
END $$;
"""  # noqa: S608 - a number of ours


@dataclass(frozen=True, slots=True)
class Unit:
    """Something that the database has to have; `kind` if its rows must be filled in again for it."""

    name: str
    sql: str
    undo: str
    kind: Kind | None = None


@dataclass(frozen=True, slots=True)
class Migrations:
    """How far a database is."""

    bootstrapped: bool
    #: names of what it has, what is missing, and what this version no longer wants
    executed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    obsolete: tuple[str, ...] = ()


async def examine(server: Server) -> Migrations:
    """How far the database is. Raises `Unavailable`."""
    async with translated(), _connected(server) as connection:
        return await examined(connection)


async def bootstrap(server: Server) -> bool:
    """Makes everything; False if it was there already. Raises `Unavailable`."""
    async with translated(), _locked(server) as connection:
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(server.schema)}")
        if await _is_bootstrapped(connection):
            return False
        await connection.execute(_BASE)
        await connection.execute("INSERT INTO tollhouse_state (software) VALUES ($1)", __version__)
        await _make(connection, list(_units()))
        return True


async def up(server: Server) -> tuple[str, ...]:
    """Makes what is missing; returns the names. Raises `NotBootstrapped`, `Unavailable`."""
    async with translated(), _locked(server) as connection:
        missing = frozenset((await _bootstrapped(connection)).missing)
        made = [unit for unit in _units() if unit.name in missing]
        await _make(connection, made)
        if _number(__version__) > _number(await _software(connection)):
            await connection.execute("UPDATE tollhouse_state SET software = $1", __version__)
        return tuple(unit.name for unit in made)


async def finish(server: Server) -> tuple[str, ...]:
    """Takes away what no version needs any longer; returns the names. Raises `NotBootstrapped`,
    `Unavailable`, and `ValueError` if the database belongs to a newer version."""
    async with translated(), _locked(server) as connection:
        obsolete = (await _bootstrapped(connection)).obsolete
        software = await _software(connection)
        if obsolete and _number(software) > _number(__version__):
            raise ValueError(f"the database was brought up by Tollhouse {software}: let that version finish")
        query = "DELETE FROM tollhouse_migrations WHERE name = ANY($1) RETURNING undo"
        for record in await connection.fetch(query, obsolete):
            await connection.execute(record["undo"])
        return obsolete


async def reset(server: Server) -> bool:
    """Removes every table and all that is in it; False if there was nothing. Raises `Unavailable`."""
    async with translated(), _locked(server) as connection:
        if not await _is_bootstrapped(connection):
            return False
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = $1 AND tablename LIKE 'tollhouse\\_%'"
        for record in await connection.fetch(tables, server.schema):
            await connection.execute(f"DROP TABLE {quoted(record['tablename'])} CASCADE")
        await connection.execute("DROP FUNCTION tollhouse_note_changes")
        await connection.execute(counting.DROP_FUNCTION)
        return True


async def examined(connection: "asyncpg.Connection[Any]") -> Migrations:
    """How far the database of this connection is."""
    if not await _is_bootstrapped(connection):
        return Migrations(bootstrapped=False)
    records = await connection.fetch("SELECT name FROM tollhouse_migrations ORDER BY executed_at, name")
    executed = tuple(record["name"] for record in records)
    wanted = tuple(unit.name for unit in _units())
    return Migrations(
        bootstrapped=True,
        executed=executed,
        missing=tuple(name for name in wanted if name not in executed),
        # Tables stay, with all that is in them, until a reset.
        obsolete=tuple(name for name in executed if name not in wanted and not name.startswith("table ")),
    )


# What there has to be


def _units() -> Iterator[Unit]:
    """All units, each after those that it needs."""
    tables = [table_of(kind) for kind in ENTITIES.values()]
    for table in tables:
        yield _table(table)
    for table in tables:
        yield from _columns(table)
    for table in tables:
        yield from _constraints(table)
    yield Unit("table counters", counting.TABLE, counting.DROP_TABLE)
    yield Unit("table sessions", sessions.TABLE, sessions.DROP_TABLE)
    yield Unit("table values", values.TABLE, values.DROP_TABLE)
    # Another name for a function that does something else, so that `up` makes it.
    yield Unit("function count 1", counting.FUNCTION, counting.DROP_FUNCTION)


def _table(table: Table) -> Unit:
    name = table.name
    triggers = "".join(
        f"CREATE TRIGGER {name}_{verb.lower()} AFTER {verb} ON {name} REFERENCING {which} TABLE AS changed "
        f"FOR EACH STATEMENT EXECUTE FUNCTION tollhouse_note_changes('{table.kind.name}');\n"
        for verb, which in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD"))
    )
    sql = f"""
        CREATE TABLE {name} (
          id uuid PRIMARY KEY, data json NOT NULL, tags text[] NOT NULL);
        CREATE INDEX {name}_tags ON {name} USING gin (tags);
        {triggers}"""
    return Unit(f"table {table.kind.name}", sql, f"DROP TABLE {name} CASCADE")


def _columns(table: Table) -> Iterator[Unit]:
    types = {**dict.fromkeys(table.unique, "bytea"), **dict.fromkeys(table.foreign, "uuid")}
    yield Unit(
        f"column {table.kind.name}.{OWNER}",
        # What older versions write, and have written, belongs to nobody in particular.
        f"ALTER TABLE {table.name} ADD COLUMN {OWNER} text NOT NULL DEFAULT 'database'",
        f"ALTER TABLE {table.name} DROP COLUMN IF EXISTS {OWNER}",
    )
    for column, kind in types.items():
        yield Unit(
            f"column {table.kind.name}.{column}",
            f"ALTER TABLE {table.name} ADD COLUMN {column} {kind}",
            f"ALTER TABLE {table.name} DROP COLUMN IF EXISTS {column}",
            table.kind,
        )


def _constraints(table: Table) -> Iterator[Unit]:
    for column, fields in table.unique.items():
        constraint = table.unique_constraint(column)
        yield Unit(
            f"unique {table.kind.name}.{'+'.join(fields)}",
            f"ALTER TABLE {table.name} ADD CONSTRAINT {constraint} UNIQUE ({column})",
            f"ALTER TABLE {table.name} DROP CONSTRAINT IF EXISTS {constraint}",
        )
    for column, name in table.foreign.items():
        referenced = ENTITIES.get(table.kind.references[name])
        if referenced is not None:
            yield _foreign(table, column, name, table_of(referenced))


def _foreign(table: Table, column: str, name: str, referenced: Table) -> Unit:
    action = table.kind.schema.fields[name].rules.get("on_delete", "restrict")
    constraint = table.foreign_constraint(column)
    sql = f"""
        CREATE INDEX IF NOT EXISTS {table.name}_{column} ON {table.name} ({column});
        ALTER TABLE {table.name} ADD CONSTRAINT {constraint}
          FOREIGN KEY ({column}) REFERENCES {referenced.name} (id) ON DELETE {action}"""
    return Unit(
        f"reference {table.kind.name}.{name} {action}",
        sql,
        f"ALTER TABLE {table.name} DROP CONSTRAINT IF EXISTS {constraint}",
    )


# Making it


async def _make(connection: "asyncpg.Connection[Any]", units: Sequence[Unit]) -> None:
    tables = {unit.name for unit in units if unit.name.startswith("table ")}
    stale = {unit.kind.name: unit.kind for unit in units if unit.kind is not None}
    structure = [unit for unit in units if unit.name.startswith(("table ", "column "))]
    for unit in structure:
        await connection.execute(unit.sql)
    for name, kind in stale.items():
        if f"table {name}" not in tables:
            await _fill(connection, kind)
    for unit in units:
        if unit not in structure:
            await connection.execute(unit.sql)
    await connection.executemany(
        "INSERT INTO tollhouse_migrations (name, undo) VALUES ($1, $2)",
        [(unit.name, unit.undo) for unit in units],
    )


async def _fill(connection: "asyncpg.Connection[Any]", kind: Kind) -> None:
    """Computes the columns of rows that were there before some of the columns."""
    table = table_of(kind)
    query = f"SELECT data FROM {table.name}"  # noqa: S608
    async for record in connection.cursor(query, prefetch=_FILL_ROWS):
        row = msgspec.json.decode(record["data"])
        await connection.execute(table.update, *table.record(row))


# Locks and looks


@asynccontextmanager
async def _connected(server: Server) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await connect(replace(server, statement_timeout=None))
    try:
        yield connection
    finally:
        await connection.close(timeout=server.timeout)


@asynccontextmanager
async def _locked(server: Server) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A transaction that no other migration runs beside."""
    async with _connected(server) as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1, $2)", *_LOCK)
        yield connection


async def _is_bootstrapped(connection: "asyncpg.Connection[Any]") -> bool:
    return await connection.fetchval("SELECT to_regclass('tollhouse_state')") is not None


async def _bootstrapped(connection: "asyncpg.Connection[Any]") -> Migrations:
    found = await examined(connection)
    if not found.bootstrapped:
        raise NotBootstrapped("the database is empty: run 'tollhouse migrations bootstrap'")
    return found


async def _software(connection: "asyncpg.Connection[Any]") -> str:
    software: str = await connection.fetchval("SELECT software FROM tollhouse_state")
    return software


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
