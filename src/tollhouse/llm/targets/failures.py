"""What went wrong with an attempt, in the words of `balancer.failover_criteria`. Pure."""

from typing import Final, Literal, TypeAlias, get_args

from tollhouse.errors import Cause, Reject, UpstreamFault
from tollhouse.llm.chat import Failed, Trouble

Criterion: TypeAlias = Literal[
    "error",
    "timeout",
    "invalid_header",
    "http_403",
    "http_404",
    "http_429",
    "http_500",
    "http_502",
    "http_503",
    "http_504",
    "non_idempotent",
]
#: the criteria that are statuses
STATUS_CRITERIA: Final = {int(word[5:]): word for word in get_args(Criterion) if word.startswith("http_")}
_TIMEOUTS: Final = frozenset({Cause.CONNECT_TIMEOUT, Cause.SEND_TIMEOUT, Cause.READ_TIMEOUT})
#: an error within a stream has no status: what it is about says which it would have had
_TROUBLES: Final[dict[Trouble, frozenset[str]]] = {
    "rate_limit": frozenset({"http_429", "error"}),
    "quota": frozenset({"http_429", "error"}),
    "overloaded": frozenset({"http_503", "error"}),
    "timeout": frozenset({"http_504", "timeout"}),
    "upstream_error": frozenset({"http_500", "http_502", "error"}),
    "permission": frozenset({"http_403"}),
    "not_found": frozenset({"http_404"}),
}
_NONE: Final[frozenset[str]] = frozenset()


def words_of(failure: Exception, told: Failed | None, *, answered: bool) -> frozenset[str]:
    """The criteria that the failure meets; none if it is no failure of a target. `told` is what a stream
    said of itself, `answered` whether the head of an answer had come."""
    if isinstance(failure, UpstreamFault):
        if failure.cause in _TIMEOUTS:
            return frozenset({"timeout"})
        if failure.cause is Cause.BAD_RESPONSE and not answered:
            return frozenset({"invalid_header"})
        return frozenset({"error"})
    if told is not None:
        return _TROUBLES.get(told.trouble, _NONE)
    # A name that leads nowhere is refused before anything is sent.
    return _NONE if answered or not isinstance(failure, Reject) else frozenset({"error"})
