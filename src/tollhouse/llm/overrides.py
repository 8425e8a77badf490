"""What the operator sets in every request, whatever the client asked for."""

from typing import Final

import msgspec

from tollhouse.llm.families.openai_reasoning import limit_name
from tollhouse.llm.formats.openai_chat.forward import FALSE, TRUE, Members
from tollhouse.llm.provider import Provider
from tollhouse.llm.settings import Options

_BOTH_LIMITS: Final = frozenset({"max_tokens", "max_completion_tokens"})


class Overrides:
    def __init__(self, options: Options, provider: Provider) -> None:
        names = ("temperature", "top_p", "top_k")
        given = {name: getattr(options, name) for name in names}
        self._fixed = {name: _raw(value) for name, value in given.items() if value is not None}
        self._limit = None if options.max_tokens is None else _raw(options.max_tokens)
        self._refused = provider.refuses

    def apply(self, members: Members, model: str, model_json: msgspec.Raw, *, stream: bool) -> None:
        members["model"] = model_json
        members["stream"] = TRUE if stream else FALSE
        if self._fixed:
            members.update(self._fixed)
        if self._limit is not None:
            # Under whichever name the client asks for a limit, the operator's holds.
            for name in (_BOTH_LIMITS & members.keys()) or (limit_name(model),):
                members[name] = self._limit
        for name in self._refused:
            members.pop(name, None)


def _raw(value: float) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
