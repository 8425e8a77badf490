"""Several models as one upstream: one is asked, and another if that fails before its answer has begun.

What a failed attempt has put on the request is taken away again, and what it has cost is kept: every
attempt that was billed is metered.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import msgspec

from tollhouse.llm.call import Call
from tollhouse.llm.once import Firsts
from tollhouse.llm.targets.choice import Choose
from tollhouse.llm.targets.failures import STATUS_CRITERIA, words_of
from tollhouse.llm.targets.target import Target
from tollhouse.llm.terms import Terms
from tollhouse.llm.upstream_model import UpstreamModel
from tollhouse.pdk import Exchange, Patience, Reject, Response, TryAnother
from tollhouse.pdk.services import Services
from tollhouse.pdk.usage import Metered
from tollhouse.wire.headers import Headers

Counted: TypeAlias = Literal["total-tokens", "prompt-tokens", "completion-tokens", "cost", "llm-accuracy"]
LatencyStrategy: TypeAlias = Literal["tpot", "e2e"]

_ALL_OUT: Final = "all targets are out of service for now"
_NONE_FITS: Final = "no target takes this request"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How targets are chosen and when another is asked."""

    choose: Choose
    criteria: frozenset[str]
    #: attempts beyond the first
    retries: int
    hash_on_header: str
    counted: Counted
    latency: LatencyStrategy
    patience: Patience
    #: whether a call does no harm if it is made twice
    repeatable: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it was before the first attempt."""

    headers: Headers
    content: bytes | None
    target: str | None

    def restore(self, ex: Exchange) -> None:
        request = ex.request
        request.headers = self.headers.copy()
        if self.content is not None:
            request.replace_content(self.content)
        ex.upstream_target = self.target
        ex.wants_whole_response = False


class Run(msgspec.Struct):
    """The attempts of one exchange."""

    asked: Asked | None = None
    #: from the first to the one that is being asked
    attempts: list["Entry"] = []
    #: those that this request cannot be sent to, or was sent to before
    passed: set[int] = set()
    refusal: Reject | None = None
    earlier: list[Metered] = []
    tried: list[dict[str, Any]] = []
    #: the last attempt has been judged
    judged: bool = False


class Entry(UpstreamModel):
    """A model among others. What begins a call is the choice among all of them."""

    def __init__(
        self,
        terms: Terms,
        services: Services,
        plugin_id: str,
        firsts: Firsts | None,
        *,
        target: Target,
        shown: Mapping[str, Any],
    ) -> None:
        """`shown` is what log records tell of it."""
        super().__init__(terms, services, plugin_id, firsts)
        self.target = target
        self.shown = shown
        self.first_of: Callable[[Exchange], Awaitable[None] | None] = self.attempt

    def _begin(self, ex: Exchange) -> Awaitable[None] | None:
        return self.first_of(ex)

    def attempt(self, ex: Exchange) -> Awaitable[None] | None:
        """Directs the exchange here. Raises `Reject`, also when awaited, if it cannot be sent here."""
        return super()._begin(ex)


class Balanced:
    """The phases of a plugin with several models, and its `Failover`."""

    def __init__(self, entries: Sequence[Entry], rules: Rules, services: Services) -> None:
        """There is at least one entry."""
        self._entries = {entry.target.number: entry for entry in entries}
        self._rules = rules
        self._clock = services.clock
        self._first = entries[0]
        self._first.first_of = self._begin

    # Towards the providers

    def access(self, ex: Exchange) -> Awaitable[None] | None:
        return self._first.access(ex)

    def _begin(self, ex: Exchange) -> Awaitable[None] | None:
        request = ex.request
        run = Run(Asked(request.headers.copy(), request.content, ex.upstream_target))
        ex.put(run)
        if request.content is not None:  # a body that is passed on while it arrives has gone by then
            ex.failover = self
        return self._attempt(ex, run)

    def _attempt(self, ex: Exchange, run: Run) -> Awaitable[None] | None:
        """Directs the exchange to the next target that takes it. Raises `Reject` if there is none."""
        while True:
            entry = self._next(ex, run)
            try:
                waiting = entry.attempt(ex)
            except Reject as refusal:
                self._pass_over(ex, run, entry, refusal)
                continue
            if waiting is not None:
                return self._waited(ex, run, entry, waiting)
            self._asked(ex, run, entry)
            return None

    async def _waited(self, ex: Exchange, run: Run, entry: Entry, waiting: Awaitable[None]) -> None:
        try:
            await waiting
        except Reject as refusal:
            self._pass_over(ex, run, entry, refusal)
            again = self._attempt(ex, run)
            if again is not None:
                await again
            return
        self._asked(ex, run, entry)

    def _next(self, ex: Exchange, run: Run) -> Entry:
        now = self._clock()
        left = [
            entry.target
            for number, entry in self._entries.items()
            if number not in run.passed and entry.target.breaker.is_closed(now)
        ]
        if not left:
            raise run.refusal or Reject(500, _ALL_OUT if not run.passed else _NONE_FITS)
        key = ex.request.headers.values.get(self._rules.hash_on_header) or ex.request_id
        return self._entries[self._rules.choose(left, key).number]

    def _pass_over(self, ex: Exchange, run: Run, entry: Entry, refusal: Reject) -> None:
        run.passed.add(entry.target.number)
        run.refusal = run.refusal or refusal
        self._forget(ex, run)

    def _forget(self, ex: Exchange, run: Run) -> None:
        """Takes away what an attempt has left; what has to last beyond it goes on."""
        call = ex.peek(Call)
        ex.put(Call(first=None if call is None else call.first))
        ex.put(Metered())
        if run.asked is not None:
            run.asked.restore(ex)

    def _asked(self, ex: Exchange, run: Run, entry: Entry) -> None:
        target = entry.target
        run.attempts.append(entry)
        run.passed.add(target.number)
        run.judged = False
        target.seen.running += 1
        target.breaker.asked()
        ex.patience = self._rules.patience

    # Failures

    def refuses(self, ex: Exchange, response: Response) -> bool:
        word = STATUS_CRITERIA.get(response.status)
        if word is None or word not in self._rules.criteria:
            return False
        run = ex.slot(Run)
        self._failed(run)
        return self._has_more(ex, run, sent=True)

    def _failed(self, run: Run) -> None:
        if not run.judged:
            run.judged = True
            run.attempts[-1].target.breaker.failed(self._clock())

    def _has_more(self, ex: Exchange, run: Run, *, sent: bool) -> bool:
        rules = self._rules
        if len(run.attempts) > rules.retries:
            return False
        if sent and not rules.repeatable and ex.request.method in ("POST", "PATCH"):
            return False
        now = self._clock()
        return any(
            number not in run.passed and entry.target.breaker.is_closed(now)
            for number, entry in self._entries.items()
        )

    async def again(self, ex: Exchange, failure: Exception) -> bool:
        run, call = ex.slot(Run), ex.slot(Call)
        word = self._word(ex, call, failure)
        if not word:
            return False
        self._failed(run)
        sent = getattr(failure, "sent", True)
        if not isinstance(failure, TryAnother) and not self._has_more(ex, run, sent=sent):
            return False
        self._leave(ex, run, call, word)
        waiting = self._attempt(ex, run)
        if waiting is not None:
            await waiting
        return True

    def _word(self, ex: Exchange, call: Call, failure: Exception) -> str:
        """Why another target is asked; empty if none shall be."""
        if isinstance(failure, TryAnother):
            return "error" if call.unusable else f"status_{ex.upstream_status}"
        told = call.passage.failed if call.passage is not None else None
        words = words_of(failure, told, answered=ex.response is not None)
        if told is not None and words & self._rules.criteria:
            return told.trouble
        return next(iter(words & self._rules.criteria), "")

    def _leave(self, ex: Exchange, run: Run, call: Call, word: str) -> None:
        """Ends an attempt: notes where it went and what it cost."""
        entry = run.attempts[-1]
        entry.target.seen.running -= 1
        run.tried.append(_place(ex, entry))
        entry.give_up(ex, call)
        metered = call.metered
        if metered is not None and metered.usage.total_tokens:
            metered.error = word
            self._count(entry.target, metered)
            run.earlier.append(metered)
        self._forget(ex, run)

    # The way back

    def header_filter(self, ex: Exchange) -> None:
        run = ex.peek(Run)
        if run is None or not run.attempts:
            return
        run.attempts[-1].header_filter(ex)
        _discourage(ex, run)
        if ex.slot(Call).unusable and "error" in self._rules.criteria:
            self._failed(run)
            if self._has_more(ex, run, sent=True):
                raise TryAnother

    def body_filter(self, ex: Exchange, chunk: bytes, last: bool) -> bytes:
        run = ex.peek(Run)
        if run is None or not run.attempts:
            return chunk
        return run.attempts[-1].body_filter(ex, chunk, last)

    def own_answer(self, ex: Exchange) -> None:
        self._first.own_answer(ex)
        run = ex.peek(Run)
        if run is not None:
            _discourage(ex, run)

    def log(self, ex: Exchange) -> None:
        run = ex.peek(Run)
        if run is None or not run.attempts:
            self._first.log(ex)
            return
        entry = run.attempts[-1]
        entry.log(ex)
        metered = ex.slot(Metered)
        metered.earlier = run.earlier
        metered.tried = [*run.tried, _place(ex, entry)]
        entry.target.seen.running -= 1
        self._observe(ex, run, entry.target, metered)

    def _observe(self, ex: Exchange, run: Run, target: Target, metered: Metered) -> None:
        answered = ex.response is not None and ex.response.from_upstream
        call = ex.peek(Call)
        if call is not None and call.passage is not None and call.passage.failed is not None:
            self._failed(run)  # it broke off when it was too late for another
        if run.judged or not answered:
            target.breaker.left()
            return
        target.breaker.answered(self._clock())
        self._count(target, metered)
        if metered.error:
            return
        seconds = ex.ended_at - ex.sent_at
        if self._rules.latency == "tpot":
            seconds /= max(1, metered.usage.completion_tokens)
        target.seen.took(seconds)

    def _count(self, target: Target, metered: Metered) -> None:
        usage, seen = metered.usage, target.seen
        match self._rules.counted:
            case "prompt-tokens":
                seen.used += usage.prompt_tokens
            case "completion-tokens":
                seen.used += usage.completion_tokens
            case "cost":
                seen.used += metered.cost_nano_usd or 0
            case _:
                seen.used += usage.total_tokens


def _discourage(ex: Exchange, run: Run) -> None:
    """The SDKs of OpenAI, Anthropic and Groq try twice more by themselves, unless this field says that it is
    of no use: all that could be asked has been."""
    response = ex.response
    if len(run.attempts) > 1 and response is not None and response.status >= 400:
        response.headers.set("x-should-retry", "false")


def _place(ex: Exchange, entry: Entry) -> dict[str, Any]:
    """Where an attempt went, as Kong's log records have it."""
    scheme, host, port = ex.upstream_address or ("", "", 0)
    return {
        **entry.shown,
        "ip": ex.peer.host if ex.peer is not None else "",
        "port": port,
        "host": host,
        "upstream_scheme": scheme,
        "upstream_uri": (ex.upstream_target or "").partition("?")[0],
    }
