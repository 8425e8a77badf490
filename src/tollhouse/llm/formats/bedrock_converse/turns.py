"""The turns of a conversation as Bedrock wants them: user and assistant in strict alternation, and every
call of a tool answered in the turn after it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tollhouse.llm.chat import ChatRequest, Message, OtherPart, Text, ToolCall, ToolResult
from tollhouse.llm.form import Refusal
from tollhouse.llm.formats.bedrock_converse.models import can_cache
from tollhouse.llm.formats.bedrock_converse.parts import PartEncoder

#: opens a conversation that has no user's turn: Bedrock wants one, and no empty text in it
_NOTHING_SAID: Final = {"text": "."}


@dataclass(slots=True)
class _Turn:
    role: str
    blocks: list[dict[str, Any]]
    #: how many of the blocks, from the first, are results of tools and marks after them
    results: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)

    def add(self, blocks: list[dict[str, Any]], *, first: bool) -> None:
        """`first`: results go before whatever else the user says in that turn, as Claude wants them."""
        at = self.results if first else len(self.blocks)
        self.blocks[at:at] = blocks
        if first:
            self.results += len(blocks)

    def encoded(self) -> dict[str, Any]:
        return {"role": self.role, "content": self.blocks, **self.extra}


def encoded_turns(
    chat: ChatRequest, *, own: bool, ignored: list[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The blocks of `system`, and the turns. System messages in the midst of a conversation stay there
    only where the client put them there in this form: few models take them."""
    parts = PartEncoder(own=own, cache=can_cache(chat.model), ignored=ignored)
    if not own:
        _check_results(chat.messages)
    system: list[dict[str, Any]] = []
    turns: list[_Turn] = []
    for number, message in enumerate(chat.messages):
        place = f"messages[{number}]"
        if message.role == "system" and not own:
            _check_system(message, place)
        blocks = [block for part in message.parts for block in parts.blocks(part, place)]
        if not own:
            ignored += [f"{place}.{name}" for name in message.extra]
        if message.role == "system" and not (own and turns):
            system += blocks
            continue
        _add(turns, message, blocks, own=own)
    if not own:
        _make_acceptable(turns)
    return system, [turn.encoded() for turn in turns]


def _add(turns: list[_Turn], message: Message, blocks: list[dict[str, Any]], *, own: bool) -> None:
    if not blocks and not own:
        return
    role = "user" if message.role == "tool" else message.role
    if not turns or turns[-1].role != role:
        turns.append(_Turn(role, []))
    turns[-1].add(blocks, first=message.role == "tool" and not own)
    if own:
        turns[-1].extra = {**turns[-1].extra, **message.extra}


def _make_acceptable(turns: list[_Turn]) -> None:
    if not turns or turns[0].role != "user":
        turns.insert(0, _Turn("user", [dict(_NOTHING_SAID)]))
    last = turns[-1]
    if last.role == "assistant" and "text" in last.blocks[-1]:
        # Claude answers 400 to a beginning of its own answer that ends in blanks.
        text = last.blocks[-1]["text"].rstrip()
        last.blocks[-1:] = [{"text": text}] if text else []
        if not last.blocks:
            turns.pop()


def _check_system(message: Message, place: str) -> None:
    for part in message.parts:
        if not isinstance(part, Text | OtherPart):
            raise Refusal(f"{place}: system messages of models on Bedrock have nothing but text")


def _check_results(messages: Sequence[Message]) -> None:
    """Bedrock answers 400 unless every call has a result and every result a call, and names no message."""
    called: dict[str, int] = {}
    for number, message in enumerate(messages):
        if message.role == "assistant":
            _check_answered(called)
            called.update((part.id, number) for part in message.parts if isinstance(part, ToolCall))
        for part in message.parts:
            if isinstance(part, ToolResult) and called.pop(part.call_id, None) is None:
                raise Refusal(f"messages[{number}]: no call before it has the id '{part.call_id}'")
    _check_answered(called)


def _check_answered(called: Mapping[str, int]) -> None:
    for id_, number in called.items():
        raise Refusal(f"messages[{number}]: the call '{id_}' has no result in the messages after it")
