"""What a provider's form cannot express, taken out of a request where the operator allows that. Pure.

Only what stands beside the messages is taken out: without a part of the conversation an answer would be to
something else.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from tollhouse.llm.carrying import carried
from tollhouse.llm.chat import ChatRequest, OtherTool
from tollhouse.llm.dialogue import FORMS
from tollhouse.llm.form import ServerForm, Unsupported

#: fields that forms leave out, and that change the answer nevertheless
_CHANGE_ANSWERS: Final = (
    *("seed", "temperature", "top_p", "top_k", "top_logprobs"),
    *("presence_penalty", "frequency_penalty"),
)


def encoded(
    form: ServerForm, chat: ChatRequest, ignored: list[str], *, drops: bool
) -> tuple[dict[str, Any], list[str]]:
    """The body for a provider, and the fields that are not in it though they would change the answer.
    To `ignored` are added those that change little.

    Raises `Unsupported` for the first such field unless `drops`, and `Refusal` for what cannot be dropped.
    """
    dropped = list(chat.own_only)
    if dropped and not drops:
        raise Unsupported(dropped[0], f"{dropped[0]} is not supported by this model's provider")
    left_out: list[str] = []
    if not any(known is form and name == chat.form for name, known in FORMS.items()):
        chat = carried(chat)
    body = _encoded(form, chat, left_out, dropped if drops else None)
    for name in dict.fromkeys(left_out):
        if name not in _CHANGE_ANSWERS:
            ignored.append(name)
        elif drops:
            dropped.append(name)
        else:
            raise Unsupported(name, f"{name} is not supported by this model")
    return body, dropped


def _encoded(
    form: ServerForm, chat: ChatRequest, left_out: list[str], dropped: list[str] | None
) -> dict[str, Any]:
    """The body, without the fields that had to be `dropped`; `None`: none may be."""
    try:
        return form.encode_request(chat, left_out)
    except Unsupported as refusal:
        less = None if dropped is None or refusal.field in dropped else _without(chat, refusal.field)
        if dropped is None or less is None:
            raise
        dropped.append(refusal.field)
    left_out.clear()
    return _encoded(form, less, left_out, dropped)


def _without(chat: ChatRequest, field: str) -> ChatRequest | None:
    """The request without that field; `None` if it does not have one."""
    if field in _FIELDS:
        return _FIELDS[field](chat)
    if field not in chat.extra:
        return None
    return replace(chat, extra={name: value for name, value in chat.extra.items() if name != field})


def _without_tools(chat: ChatRequest) -> ChatRequest:
    """Without those that only their own form knows."""
    tools = tuple(tool for tool in chat.tools if not isinstance(tool, OtherTool))
    return replace(chat, tools=tools, tool_choice=chat.tool_choice if tools else None)


_FIELDS: Final[Mapping[str, Callable[[ChatRequest], ChatRequest]]] = {
    "n": lambda chat: replace(chat, options=replace(chat.options, n=None)),
    "stop": lambda chat: replace(chat, options=replace(chat.options, stop=None)),
    "logprobs": lambda chat: replace(chat, options=replace(chat.options, logprobs=None, top_logprobs=None)),
    "response_format": lambda chat: replace(chat, response_format=None),
    "tool_choice": lambda chat: replace(chat, tool_choice=None),
    "tools": _without_tools,
}
