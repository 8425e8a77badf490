"""What the operator sets in every request, written where the form of client and provider has it, so that
nothing else of the request is touched."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tollhouse.llm.form import MALFORMED, Refusal
from tollhouse.llm.formats.openai_chat.forward import Members
from tollhouse.llm.provider import FormName
from tollhouse.llm.settings import Options

_OPTIONS: Final = ("max_tokens", "temperature", "top_p", "top_k")
#: The member that has the options, by all of its names, and theirs in it; without a member they stand in
#: the request itself. `None` is what the form does not have.
_PLACES: Final[Mapping[FormName, tuple[tuple[str, ...], tuple[str | None, ...]]]] = {
    "anthropic_messages": ((), _OPTIONS),
    "openai_responses": ((), ("max_output_tokens", "temperature", "top_p", None)),
    "cohere_chat": ((), ("max_tokens", "temperature", "p", "k")),
    "ollama_chat": (("options",), ("num_predict", "temperature", "top_p", "top_k")),
    "gemini": (
        ("generationConfig", "generation_config"),
        ("maxOutputTokens", "temperature", "topP", "topK"),
    ),
    "bedrock_converse": (("inferenceConfig",), ("maxTokens", "temperature", "topP", None)),
}
#: Google takes names in both fashions
_OTHER_NAMES: Final[Mapping[str, str]] = {
    "maxOutputTokens": "max_output_tokens",
    "topP": "top_p",
    "topK": "top_k",
}


class Fixed:
    """The settings of one model, for requests that stay in one form."""

    def __init__(self, form: FormName, options: Options) -> None:
        self._containers, names = _PLACES.get(form, ((), _OPTIONS))
        self._values: dict[str, Any] = {}
        for option, name in zip(_OPTIONS, names, strict=True):
            value = getattr(options, option)
            if value is not None and name is not None:
                self._values[name] = msgspec.Raw(msgspec.json.encode(value))

    def put_in(self, members: Members) -> None:
        """Raises `Refusal` for a request whose options cannot be written into."""
        if not self._values:
            return
        if not self._containers:
            members.update(self._values)
            return
        name = next((name for name in self._containers if name in members), self._containers[0])
        try:
            inner = msgspec.json.decode(members.get(name, b"{}"), type=Members | None) or {}
        except MALFORMED:
            raise Refusal(f"{name} is not an object") from None
        for mine, value in self._values.items():
            inner.pop(_OTHER_NAMES.get(mine, mine), None)
            inner[mine] = value
        members[name] = msgspec.Raw(msgspec.json.encode(inner))
