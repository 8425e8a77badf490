"""Recorded requests against a new configuration: what would be otherwise, than before or than it was."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from tollhouse.review.prospect import Outcome, Prospect, Refusal
from tollhouse.review.recorded import Recorded

What: TypeAlias = Literal["route", "upstream", "refused", "accepted", "cost", "cache"]
WHATS: Final[tuple[What, ...]] = ("route", "upstream", "refused", "accepted", "cost", "cache")


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is otherwise for one request."""

    what: What
    recorded: Recorded
    before: str
    after: str


@dataclass(slots=True)
class Summary:
    """Counts over all requests; costs in billionths of a dollar, of calls whose price both sides know."""

    requests: int = 0
    unchanged: int = 0
    unsure: Counter[str] = field(default_factory=Counter)
    changes: Counter[What] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    cost_before: int = 0
    cost_after: int = 0
    hits_before: int = 0
    hits_after: int = 0


def as_it_was(recorded: Recorded) -> Outcome:
    """What happened, by the record itself."""
    route = recorded.route[0] if recorded.route else None
    outcome = Outcome(route=route, upstream=recorded.upstream)
    if recorded.refused:
        outcome.refusal = Refusal(recorded.status, "refused")
    if recorded.call is not None:
        outcome.model, outcome.cost_nano_usd = recorded.call.model, recorded.call.cost_nano_usd
    told = recorded.answer.get("x-cache-status") if recorded.answer else None
    if told is not None:
        outcome.cached = "hit" if told.lower() == "hit" else "miss"
    return outcome


def rehearse(
    requests: Iterable[Recorded], new: Prospect, old: Prospect | None, summary: Summary
) -> Iterator[Change]:
    """What would change, request by request in the order of their times; the summary is kept up as well."""
    before_of: Callable[[Recorded], Outcome] = old.outcome if old else as_it_was
    for recorded in requests:
        before, after = before_of(recorded), new.outcome(recorded)
        found = list(_changes(recorded, before, after, from_log=old is None))
        summary.requests += 1
        summary.unchanged += not found
        summary.unsure.update(set(after.unsure))
        summary.changes.update(change.what for change in found)
        if after.refusal is not None:
            summary.statuses[after.refusal.status] += 1
        summary.hits_before += before.cached == "hit"
        summary.hits_after += after.cached == "hit"
        _add_costs(summary, before, after)
        yield from found


def _add_costs(summary: Summary, before: Outcome, after: Outcome) -> None:
    now = 0 if after.refusal is not None or after.cached == "hit" else after.cost_nano_usd
    if before.cost_nano_usd is not None and now is not None:
        summary.cost_before += before.cost_nano_usd
        summary.cost_after += now


def _changes(recorded: Recorded, before: Outcome, after: Outcome, *, from_log: bool) -> Iterator[Change]:
    was_refused = recorded.refused if from_log else before.refusal is not None
    # What an access log does not tell may be no change at all.
    if after.refusal is not None and was_refused is None:
        was_refused = recorded.status == after.refusal.status
    if after.refusal is not None and not was_refused:
        yield Change("refused", recorded, before.route or "passed", _told(after.refusal))
        return
    if after.refusal is None and before.refusal is not None:
        yield Change("accepted", recorded, _told(before.refusal), after.route or "")
        return
    if after.refusal is not None:
        if before.refusal is not None and before.refusal.status != after.refusal.status:
            yield Change("refused", recorded, _told(before.refusal), _told(after.refusal))
        return
    if before.route is not None and not _same_route(recorded, before, after, from_log=from_log):
        yield Change("route", recorded, before.route, after.route or "")
    if before.upstream and after.upstream and before.upstream != after.upstream:
        yield Change("upstream", recorded, *_told_apart(before.upstream, after.upstream))
    costs = before.cost_nano_usd, after.cost_nano_usd
    if None not in costs and costs[0] != costs[1]:
        yield Change("cost", recorded, before.model or "", after.model or "")
    if before.cached is not None and after.cached is not None and before.cached != after.cached:
        yield Change("cache", recorded, before.cached, after.cached)


def _same_route(recorded: Recorded, before: Outcome, after: Outcome, *, from_log: bool) -> bool:
    return after.route in (recorded.route or ()) if from_log else after.route == before.route


def _told_apart(before: str, after: str) -> tuple[str, str]:
    """Only the services, where the path is the same, so that such changes are counted together."""
    old, new = urlsplit(before), urlsplit(after)
    if old.path != new.path:
        return before, after
    return f"{old.scheme}://{old.netloc}", f"{new.scheme}://{new.netloc}"


def _told(refusal: Refusal) -> str:
    by = f" ({refusal.plugin})" if refusal.plugin else ""
    return f"{refusal.status} {refusal.reason}{by}"
