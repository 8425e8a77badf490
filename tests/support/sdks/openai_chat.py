"""openai: chat completions."""

from typing import Any

from openai import OpenAI
from tests.support.sdks.seen import CLIENT_KEY, DESCRIPTION, PROMPT, SCHEMA, TOOL, Seen, arguments, reason_of

TOOLS: Any = [
    {"type": "function", "function": {"name": TOOL, "description": DESCRIPTION, "parameters": SCHEMA}}
]
MESSAGES: Any = [{"role": "user", "content": PROMPT}]


class OpenAiChat:
    def __init__(self, url: str) -> None:
        self.sdk: Any = OpenAI(base_url=f"{url}/v1", api_key=CLIENT_KEY, max_retries=0)

    def close(self) -> None:
        self.sdk.close()

    def ask(self, model: str, *, stream: bool) -> Seen:
        asked: dict[str, Any] = {"model": model, "messages": MESSAGES, "tools": TOOLS}
        if stream:
            options = {"include_usage": True}
            return seen_stream(self.sdk.chat.completions.create(**asked, stream=True, stream_options=options))
        return seen(self.sdk.chat.completions.create(**asked))


def seen(completion: Any) -> Seen:
    choice = completion.choices[0]
    message = choice.message
    calls = tuple((c.function.name, arguments(c.function.arguments)) for c in message.tool_calls or ())
    text, thinking = said(message)
    reason = reason_of(choice.finish_reason, bool(calls))
    return Seen(text, calls, reason, *counts(completion.usage), thinking)


def seen_stream(chunks: Any) -> Seen:
    text, thinking, reason, usage = "", "", None, None
    calls: dict[int, list[str]] = {}
    for chunk in chunks:
        usage = chunk.usage or usage
        for choice in chunk.choices[:1]:
            more, thought = said(choice.delta)
            text, thinking = text + more, thinking + thought
            reason = choice.finish_reason or reason
            for call in choice.delta.tool_calls or ():
                found = calls.setdefault(call.index, ["", ""])
                found[0] += call.function.name or ""
                found[1] += call.function.arguments or ""
    made = tuple((name, arguments(written)) for name, written in calls.values())
    return Seen(text, made, reason_of(reason, bool(made)), *counts(usage), thinking)


def said(message: Any) -> tuple[str, str]:
    """Text and thoughts of a message or delta, in any provider's dialect."""
    thinking = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None) or ""
    content = message.content
    if isinstance(content, list):  # Mistral's, where it thinks
        thinking += "".join(t["text"] for part in content for t in part.get("thinking", ()))
        content = "".join(part.get("text", "") for part in content)
    return (content or "") + (getattr(message, "refusal", None) or ""), thinking


def counts(usage: Any) -> tuple[int | None, int | None]:
    return (None, None) if usage is None else (usage.prompt_tokens, usage.completion_tokens)
