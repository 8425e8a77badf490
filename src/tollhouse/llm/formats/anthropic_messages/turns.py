"""Messages as Anthropic takes them: the system's apart, two roles in turns, results of tools first."""

from typing import Any

from tollhouse.llm.chat import ChatRequest, Message, Thinking, ToolCall
from tollhouse.llm.form import Refusal
from tollhouse.llm.formats.anthropic_messages.blocks import Blocks, shortest

#: before a conversation that the assistant opens
_OPENING = {"type": "text", "text": "."}


class Turns:
    """`system` and `messages` of a request."""

    def __init__(self, chat: ChatRequest, blocks: Blocks, ignored: list[str], *, own: bool) -> None:
        self._own = own
        self.system: list[dict[str, Any]] = []
        self._turns: list[dict[str, Any]] = []
        #: the last turn is of results that may go on in the next message
        self._joins = False
        leading = True
        for place, message in enumerate(chat.messages):
            leading = leading and message.role == "system"
            content = blocks.of(message.parts, f"messages[{place}]")
            if not own:
                ignored += [f"messages[{place}].{name}" for name in message.extra]
            if leading:
                self.system += content
            else:
                self._add(message, content)
        if not own:
            self._settle()

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [turn | {"content": shortest(turn["content"]) or ""} for turn in self._turns]

    def _add(self, message: Message, content: list[dict[str, Any]]) -> None:
        role = "user" if message.role == "tool" else message.role
        if self._own:
            last = self._turns[-1] if self._turns else None
            if self._joins and role == "user" and last is not None:
                last["content"] += content
                last |= message.extra
            else:
                self._turns.append({"role": role, "content": content, **message.extra})
            self._joins = message.role == "tool" and not message.extra
            return
        if not content:
            return  # an empty turn is refused
        if role == "system":
            # Not every model takes this role here; all of them read who speaks in a turn of the user's.
            role, content = "user", _said_by_system(content)
        if self._turns and self._turns[-1]["role"] == role:
            self._turns[-1]["content"] += content
        else:
            self._turns.append({"role": role, "content": content})

    def _settle(self) -> None:
        """What Anthropic asks of a conversation. https://platform.claude.com/docs/en/api/errors"""
        if not self._turns:
            if not self.system:
                raise Refusal("messages: there is nothing in them to answer")
            # The system's words alone are no conversation.
            self._turns, self.system = [{"role": "user", "content": self.system}], []
        for turn in self._turns:
            if turn["role"] == "user":
                turn["content"].sort(key=lambda block: block["type"] != "tool_result")
        if self._turns[0]["role"] != "user":
            self._turns.insert(0, {"role": "user", "content": [_OPENING]})
        last = self._turns[-1]["content"][-1]
        if self._turns[-1]["role"] == "assistant" and last["type"] == "text":
            # Space at the end of what the model shall go on with is refused.
            last["text"] = last["text"].rstrip()


def _said_by_system(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        block | {"text": f"<system>\n{block['text']}\n</system>"} if block["type"] == "text" else block
        for block in content
    ]


def goes_on_unthinking(chat: ChatRequest) -> bool:
    """Whether the model is in the middle of calls that it made without thoughts, or whose thoughts were
    not kept: with a budget to think, it refuses to go on then."""
    for message in reversed(chat.messages):
        if message.role == "assistant":
            thought = any(isinstance(part, Thinking) and part.signature for part in message.parts)
            return not thought and any(isinstance(part, ToolCall) for part in message.parts)
        if message.role != "tool":
            return False
    return False
