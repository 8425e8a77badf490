"""How likely tokens were, as Google tells it: those that were chosen beside those that could have been.

https://ai.google.dev/api/generate-content#LogprobsResult
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from tollhouse.llm.chat import Likely
from tollhouse.llm.form import MALFORMED


class _Token(msgspec.Struct, rename="camel"):
    token: str = ""
    log_probability: float = 0


class _Top(msgspec.Struct):
    candidates: list[_Token] | None = None


class _Result(msgspec.Struct, rename="camel"):
    chosen_candidates: list[_Token] | None = None
    top_candidates: list[_Top] | None = None


def likely_in(raw: msgspec.Raw) -> tuple[Likely, ...]:
    """Nothing if it cannot be read: the answer beside it can."""
    try:
        result = msgspec.json.decode(raw or b"{}", type=_Result)
    except MALFORMED:
        return ()
    tops = result.top_candidates or []
    found = []
    for place, chosen in enumerate(result.chosen_candidates or ()):
        others = (tops[place].candidates or ()) if place < len(tops) else ()
        also = tuple(Likely(one.token, one.log_probability) for one in others)
        found.append(Likely(chosen.token, chosen.log_probability, also))
    return tuple(found)


def shown_likely(logprobs: Sequence[Likely]) -> dict[str, Any]:
    """The member of a candidate; nothing if there is nothing to tell."""
    if not logprobs:
        return {}
    chosen = [_shown(one) for one in logprobs]
    tops = [{"candidates": [_shown(other) for other in one.others]} for one in logprobs]
    return {"logprobsResult": {"chosenCandidates": chosen, "topCandidates": tops}}


def _shown(one: Likely) -> dict[str, Any]:
    return {"token": one.token, "logProbability": one.logprob}
