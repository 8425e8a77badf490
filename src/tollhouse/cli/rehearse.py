"""tollhouse rehearse: recorded requests against a new configuration, without sending any."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Final

import click
import msgspec

from tollhouse.cli.config.sources import Workbench
from tollhouse.cli.output import fail, say
from tollhouse.llm.cost import plain_usd
from tollhouse.review.prospect import Prospect
from tollhouse.review.recorded import Place, Recorded, Unreadable, read
from tollhouse.review.rehearse import WHATS, Change, Summary, What, rehearse

_TITLES: Final[dict[What, str]] = {
    "route": "would take another route",
    "upstream": "would be sent elsewhere",
    "refused": "would be refused, or for another reason",
    "accepted": "would no longer be refused",
    "cost": "would cost something else",
    "cache": "would be cached otherwise",
}
_existing: Final = click.Path(path_type=Path, exists=True)


@click.command("rehearse")
@click.argument("config", type=_existing)
@click.argument("logs", type=click.File("r", encoding="utf-8", errors="replace"), nargs=-1, required=True)
@click.option("--old", type=_existing, help="The configuration to compare with; else the records themselves.")
@click.option("--host", default="localhost", help="The Host of requests in access logs, which do not tell.")
@click.option("--scheme", type=click.Choice(["http", "https"]), default="http", help="Their scheme.")
@click.option("--limit", default=20, type=click.IntRange(1), help="Groups of changes that are shown.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON, with every change.")
def command(
    config: Path,
    logs: tuple[IO[str], ...],
    old: Path | None,
    host: str,
    scheme: str,
    limit: int,
    as_json: bool,
) -> None:
    """Replay requests from LOGS against CONFIG, a file or folder, without sending anything: what would route
    elsewhere, be refused, cost or cache differently.

    LOGS are what file-log or http-log write, or access logs in nginx's combined format; - reads standard
    input.
    """
    bench = Workbench()
    flavor = bench.settings.router_flavor
    new = Prospect(bench.snapshot_of(config), flavor, bench.registry)
    former = Prospect(bench.snapshot_of(old), flavor, bench.registry) if old else None
    requests, unreadable = _requests(logs, Place(scheme, host))
    if not requests:
        fail(f"no request could be read: {unreadable[0]}" if unreadable else "the logs hold no requests", 2)
    summary = Summary()
    changes = list(rehearse(requests, new, former, summary))
    if as_json:
        say(msgspec.json.format(msgspec.json.encode(_document(summary, changes, unreadable))).decode())
        return
    for line in (*_groups(changes, limit), *_lines(summary, unreadable)):
        say(line)


def _requests(logs: Iterable[IO[str]], place: Place) -> tuple[list[Recorded], list[str]]:
    found: list[Recorded] = []
    unreadable: list[str] = []
    for log in logs:
        for each in read(log, place):
            if isinstance(each, Unreadable):
                unreadable.append(f"{log.name}: {each}")
            else:
                found.append(each)
    return sorted(found, key=lambda recorded: recorded.at), unreadable


def _groups(changes: Iterable[Change], limit: int) -> Iterator[str]:
    """Changes of a kind together, the most frequent first, each with a request that shows it."""
    counts: dict[What, Counter[tuple[str, str]]] = defaultdict(Counter)
    examples: dict[tuple[What, str, str], Recorded] = {}
    for change in changes:
        counts[change.what][change.before, change.after] += 1
        examples.setdefault((change.what, change.before, change.after), change.recorded)
    for what in WHATS:
        if not counts[what]:
            continue
        yield click.style(f"{counts[what].total()} {_TITLES[what]}", bold=True)
        for (before, after), count in counts[what].most_common(limit):
            example = examples[what, before, after]
            yield f"  {count:>7}  {before} → {after}"
            yield f"           e.g. line {example.line}: {example.method} {example.host}{example.target.path}"
        if len(counts[what]) > limit:
            yield f"  and {len(counts[what]) - limit} more groups"


def _lines(summary: Summary, unreadable: list[str]) -> Iterator[str]:
    yield f"{summary.requests} requests, {summary.unchanged} the same"
    if summary.hits_before or summary.hits_after:
        yield f"answers from the cache: {summary.hits_before} → {summary.hits_after}"
    if summary.cost_before or summary.cost_after:
        yield f"cost: {plain_usd(summary.cost_before)} → {plain_usd(summary.cost_after)} USD"
    for reason, count in summary.unsure.most_common():
        yield f"{count} cannot be judged in full: {reason}"
    if unreadable:
        yield f"{len(unreadable)} lines hold no request, e.g. {unreadable[0]}"


def _document(summary: Summary, changes: Iterable[Change], unreadable: list[str]) -> dict[str, Any]:
    return {
        "summary": {
            "requests": summary.requests,
            "unchanged": summary.unchanged,
            "changes": dict(summary.changes),
            "refusals": {str(status): count for status, count in summary.statuses.items()},
            "unsure": dict(summary.unsure),
            "cache_hits_before": summary.hits_before,
            "cache_hits_after": summary.hits_after,
            "cost_before_usd": plain_usd(summary.cost_before),
            "cost_after_usd": plain_usd(summary.cost_after),
            "unreadable": len(unreadable),
        },
        "changes": [
            {
                "what": change.what,
                "line": change.recorded.line,
                "method": change.recorded.method,
                "host": change.recorded.host,
                "path": change.recorded.target.path,
                "before": change.before,
                "after": change.after,
            }
            for change in changes
        ],
    }
