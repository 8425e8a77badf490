"""What the operator sets in every request, whatever the client asked for, and what the provider has under
another name than OpenAI.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from tollhouse.llm.families.openai_reasoning import limit_name
from tollhouse.llm.form import MALFORMED
from tollhouse.llm.formats.openai_chat.forward import FALSE, TRUE, Members
from tollhouse.llm.provider import Provider
from tollhouse.llm.settings import Options
from tollhouse.llm.translation import rename_calls

_CALL_ID: Final = b'"tool_call'
_NO_MESSAGES: Final = msgspec.Raw(b"[]")
_BOTH_LIMITS: Final = frozenset({"max_tokens", "max_completion_tokens"})


class Overrides:
    """`native`: the provider is sent OpenAI's form, so that its names in it are known here."""

    def __init__(self, options: Options, provider: Provider, *, native: bool = True) -> None:
        names = ("temperature", "top_p", "top_k")
        given = {name: getattr(options, name) for name in names}
        self._fixed = {name: _raw(value) for name, value in given.items() if value is not None}
        self._limit = None if options.max_tokens is None else _raw(options.max_tokens)
        self._refused = provider.refuses
        self._renames = provider.renames if native else ()
        self._call_id = provider.call_id if native else None

        # Members that it changes or takes out; `None` if it changes requests whatever is in them.
        touched = self._refused.union(name for name, _ in self._renames)
        self._touched = None if self._fixed or self._limit or self._call_id is not None else touched

    def apply(self, members: Members, model: str, model_json: msgspec.Raw, *, stream: bool) -> None:
        members["model"] = model_json
        members["stream"] = TRUE if stream else FALSE
        if self._touched is not None and self._touched.isdisjoint(members):
            return
        if self._fixed:
            members.update(self._fixed)
        if self._limit is not None:
            # Under whichever name the client asks for a limit, the operator's holds.
            for name in (_BOTH_LIMITS & members.keys()) or (limit_name(model),):
                members[name] = self._limit
        for name in self._refused:
            members.pop(name, None)
        for name, theirs in self._renames:
            if name in members:
                members.setdefault(theirs, members.pop(name))
        if self._call_id is not None:
            _rename_calls(members, self._call_id)


def _rename_calls(members: Members, call_id: Callable[[str], str]) -> None:
    """Gives the calls in a conversation, and what came of them, ids that the provider takes."""
    messages = members.get("messages", _NO_MESSAGES)
    if _CALL_ID not in bytes(messages):
        return
    try:
        decoded = msgspec.json.decode(messages)
    except MALFORMED:
        return  # the provider says what is wrong with it
    rename_calls(decoded, call_id)
    members["messages"] = msgspec.Raw(msgspec.json.encode(decoded))


def _raw(value: float) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
