"""What the database complains about, in the words of `stores.store`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tollhouse.model.entities import ENTITIES
from tollhouse.stores.postgres.tables import constraints
from tollhouse.stores.store import (
    ForeignViolation,
    Referenced,
    Row,
    Stale,
    StoreError,
    Unavailable,
    UniqueViolation,
)


class NotBootstrapped(StoreError):
    """The database has no tables of Tollhouse, or not all."""


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Turns errors of connections and statements that no row is to blame for into `StoreError`s."""
    try:
        yield
    except (
        asyncpg.UndefinedTableError,
        asyncpg.UndefinedColumnError,
        asyncpg.UndefinedFunctionError,
    ) as error:
        raise NotBootstrapped(
            f"the database lacks what this version needs ({error}): run 'tollhouse migrations bootstrap', "
            "or 'tollhouse migrations up' after an upgrade"
        ) from error
    except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError) as error:
        raise Stale("somebody else changed the same entities at the same time") from error
    except asyncpg.LockNotAvailableError as error:
        raise Unavailable("another change has been under way for too long") from error
    except TimeoutError as error:
        raise Unavailable("the database does not answer in time") from error
    except asyncpg.DataError as error:
        raise StoreError(f"the database cannot keep this: {error}") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        # asyncpg also calls it an internal error when a connection dies under a statement.
        raise Unavailable(f"{type(error).__name__}: {error}") from error


def refused_write(row: Row, error: asyncpg.IntegrityConstraintViolationError) -> StoreError:
    """Why a row could not be written."""
    found = constraints().get(error.constraint_name or "")
    if found is None:
        return StoreError(str(error))
    table, fields = found
    if isinstance(error, asyncpg.ForeignKeyViolationError):
        (field,) = fields
        return ForeignViolation(table.kind.name, field, table.kind.references[field], row[field]["id"])
    return UniqueViolation(table.kind.name, {name: row.get(name) for name in fields})


def refused_deletion(error: asyncpg.IntegrityConstraintViolationError) -> StoreError:
    """Why an entity, or one that would have gone with it, could not be deleted."""
    found = constraints().get(error.constraint_name or "")
    if found is None:
        return StoreError(str(error))
    table, (field,) = found
    return Referenced(ENTITIES[table.kind.references[field]].name, table.kind.name)
