"""What the database needs to count, and how it is asked.

A row is one window of one caller. A function adds to many windows at once, in one transaction: it locks the
rows in the order of their names, so that two nodes never wait for one another, and adds as often as every
window of a caller allows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg

from tollhouse.pdk.services import Taken, Window
from tollhouse.stores.synced_counts import key_of

#: counts stay so long after their window, for nodes whose clocks are late; in seconds
_LATE_SECONDS: Final = 60
_MOST_CLEANED: Final = 10_000

TABLE: Final = """
CREATE TABLE tollhouse_counters (
  key text PRIMARY KEY, count bigint NOT NULL, ends_at timestamptz NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX tollhouse_counters_ends_at ON tollhouse_counters (ends_at);
"""
DROP_TABLE: Final = "DROP TABLE tollhouse_counters"

#: Arrays have an entry for each window; `demands` numbers what counts together, from 1.
FUNCTION: Final = """
CREATE FUNCTION tollhouse_count(
  demands int[], keys text[], ends float8[], limits float8[], befores text[], weights float8[],
  amounts bigint[], times bigint[], penalties boolean[]
) RETURNS TABLE (granted bigint, count bigint, before bigint)
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_column
BEGIN
  INSERT INTO tollhouse_counters (key, count, ends_at)
    SELECT wanted.key, 0, to_timestamp(wanted.ends)
    FROM unnest(keys, ends) AS wanted (key, ends) ORDER BY wanted.key
    ON CONFLICT DO NOTHING;
  PERFORM 1 FROM tollhouse_counters WHERE key = ANY(keys) ORDER BY key FOR UPDATE;
  RETURN QUERY
  WITH wanted AS (
    SELECT * FROM unnest(demands, keys, limits, befores, weights, amounts, times, penalties)
    WITH ORDINALITY AS w (demand, key, allowed, before_key, weight, amount, times, penalty, place)
  ), known AS (
    SELECT wanted.*, coalesce(now.count, 0) AS count, coalesce(earlier.count, 0) AS before
    FROM wanted LEFT JOIN tollhouse_counters now ON now.key = wanted.key
    LEFT JOIN tollhouse_counters earlier ON earlier.key = wanted.before_key
  ), judged AS (
    SELECT demand, greatest(0, least(
      min(times), min(floor((allowed - count - before * weight) / amount))))::bigint AS granted
    FROM known GROUP BY demand
  ), added AS (
    UPDATE tollhouse_counters counters SET count = counters.count + known.amount
      * CASE WHEN known.penalty THEN known.times ELSE judged.granted END
    FROM known JOIN judged USING (demand)
    WHERE counters.key = known.key AND (known.penalty OR judged.granted > 0)
  )
  SELECT judged.granted, known.count, known.before FROM known JOIN judged USING (demand) ORDER BY place;
END $$;
"""
DROP_FUNCTION: Final = "DROP FUNCTION IF EXISTS tollhouse_count"

_COUNT: Final = "SELECT * FROM tollhouse_count($1, $2, $3, $4, $5, $6, $7, $8, $9)"
_READ: Final = "SELECT key, count FROM tollhouse_counters WHERE key = ANY($1)"
_CLEAN: Final = f"""
DELETE FROM tollhouse_counters WHERE key IN (
  SELECT key FROM tollhouse_counters WHERE ends_at < now() LIMIT {_MOST_CLEANED} FOR UPDATE SKIP LOCKED)
"""  # noqa: S608 - a number of ours


@dataclass(slots=True)
class Demand:
    """Something to be counted in windows that count together, once for each who waits for an answer."""

    windows: Sequence[Window]
    before: Sequence[Window]
    weights: Sequence[float]
    amount: int
    penalty: bool
    answered: list[Callable[[Taken | None], Any]] = field(default_factory=list)

    def tell(self, granted: int, counts: Sequence[int], before: Sequence[int]) -> None:
        """Tells everyone, first come first served; `counts` are those before anything was added."""
        for number, done in enumerate(self.answered, 1):
            added = self.amount * (number if self.penalty else min(number, granted))
            done(Taken(number <= granted, [count + added for count in counts], list(before)))


async def count(connection: "asyncpg.Connection[Any]", demands: Sequence[Demand]) -> list[asyncpg.Record]:
    """Counts demands that have no window in common; a record with `granted`, `count` and `before` for each
    window of each."""
    rows = [row for number, demand in enumerate(demands, 1) for row in _rows(number, demand)]
    columns = (list(column) for column in zip(*rows, strict=True))
    records: list[asyncpg.Record] = await connection.fetch(_COUNT, *columns)
    return records


def _rows(number: int, demand: Demand) -> list[tuple[Any, ...]]:
    rows = []
    for place, window in enumerate(demand.windows):
        before = key_of(demand.before[place]) if demand.before else None
        weight = demand.weights[place] if demand.weights else 0.0
        ends = float(window.start + window.seconds + window.kept + _LATE_SECONDS)
        counted = (demand.amount, len(demand.answered), demand.penalty)
        rows.append((number, key_of(window), ends, float(window.limit), before, weight, *counted))
    return rows


async def read(connection: "asyncpg.Connection[Any]", keys: Sequence[str]) -> dict[str, int]:
    """The counts of those windows that have one."""
    records = await connection.fetch(_READ, keys)
    return {record["key"]: record["count"] for record in records}


async def clean(connection: "asyncpg.Connection[Any]") -> None:
    """Deletes counts of windows that are over; several nodes may do so at once."""
    await connection.execute(_CLEAN)
