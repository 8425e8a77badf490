"""cohere: chat of the second version."""

from typing import Any

import cohere
import httpx
from tests.support.sdks.seen import CLIENT_KEY, DESCRIPTION, PROMPT, SCHEMA, TOOL, Seen, arguments

TOOLS: Any = [
    {"type": "function", "function": {"name": TOOL, "description": DESCRIPTION, "parameters": SCHEMA}}
]
MESSAGES: Any = [{"role": "user", "content": PROMPT}]
REASONS = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
}
ONCE: Any = {"max_retries": 0}


class CohereChat:
    def __init__(self, url: str) -> None:
        self._http = httpx.Client(timeout=60)
        self.sdk: Any = cohere.ClientV2(api_key=CLIENT_KEY, base_url=url, httpx_client=self._http)

    def close(self) -> None:
        self._http.close()

    def ask(self, model: str, *, stream: bool) -> Seen:
        asked: dict[str, Any] = {"model": model, "messages": MESSAGES, "tools": TOOLS}
        if stream:
            return seen_stream(self.sdk.chat_stream(**asked, request_options=ONCE))
        return seen(self.sdk.chat(**asked, request_options=ONCE))


def seen(answer: Any) -> Seen:
    message = answer.message
    calls = tuple((c.function.name, arguments(c.function.arguments)) for c in message.tool_calls or ())
    content = message.content or ()
    text = "".join(part.text for part in content if part.type == "text")
    thinking = "".join(part.thinking for part in content if part.type == "thinking")
    reason = REASONS[answer.finish_reason]
    return Seen(text, calls, reason, *counts(answer.usage), (message.tool_plan or "") + thinking)


def seen_stream(events: Any) -> Seen:
    text, thinking, reason, usage = "", "", "", None
    calls: dict[int, list[str]] = {}
    for event in events:
        message: Any = getattr(getattr(event, "delta", None), "message", None)
        match event.type:
            case "content-delta":
                text += message.content.text or ""
                thinking += message.content.thinking or ""
            case "tool-plan-delta":
                thinking += message.tool_plan
            case "tool-call-start":
                function = message.tool_calls.function
                calls[event.index] = [function.name, function.arguments or ""]
            case "tool-call-delta":
                calls[event.index][1] += message.tool_calls.function.arguments
            case "message-end":
                reason, usage = event.delta.finish_reason, event.delta.usage
            case _:
                pass
    made = tuple((name, arguments(written)) for name, written in calls.values())
    return Seen(text, made, REASONS[reason], *counts(usage), thinking)


def counts(usage: Any) -> tuple[int | None, int | None]:
    if usage is None or usage.tokens is None:
        return None, None
    return int(usage.tokens.input_tokens), int(usage.tokens.output_tokens)
