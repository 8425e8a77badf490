"""ollama: chat."""

from typing import Any

from ollama import Client
from tests.support.sdks.seen import CLIENT_KEY, DESCRIPTION, PROMPT, SCHEMA, TOOL, Seen, reason_of

TOOLS: Any = [
    {"type": "function", "function": {"name": TOOL, "description": DESCRIPTION, "parameters": SCHEMA}}
]
MESSAGES = [{"role": "user", "content": PROMPT}]


class OllamaChat:
    def __init__(self, url: str) -> None:
        self.sdk: Any = Client(host=url, headers={"Authorization": f"Bearer {CLIENT_KEY}"})

    def close(self) -> None:
        self.sdk.close()

    def ask(self, model: str, *, stream: bool) -> Seen:
        asked: dict[str, Any] = {"model": model, "messages": MESSAGES, "tools": TOOLS}
        if stream:
            return seen(list(self.sdk.chat(**asked, stream=True)))
        return seen([self.sdk.chat(**asked)])


def seen(answers: list[Any]) -> Seen:
    """Of a whole answer, or of all pieces of one."""
    messages, last = [answer.message for answer in answers], answers[-1]
    calls = tuple(
        (call.function.name, dict(call.function.arguments))
        for message in messages
        for call in message.tool_calls or ()
    )
    assert last.done
    return Seen(
        "".join(message.content or "" for message in messages),
        calls,
        reason_of(last.done_reason, bool(calls)),
        last.prompt_eval_count,
        last.eval_count,
        "".join(message.thinking or "" for message in messages),
    )
