"""openai: responses."""

from typing import Any

from openai import OpenAI
from tests.support.sdks.seen import CLIENT_KEY, DESCRIPTION, PROMPT, SCHEMA, TOOL, Seen, arguments, reason_of

TOOLS: Any = [
    {"type": "function", "name": TOOL, "description": DESCRIPTION, "parameters": SCHEMA, "strict": False}
]
INCOMPLETE = {"max_output_tokens": "length", "content_filter": "content_filter"}
ENDS = ("response.completed", "response.incomplete", "response.failed")


class OpenAiResponses:
    def __init__(self, url: str) -> None:
        self.sdk: Any = OpenAI(base_url=f"{url}/v1", api_key=CLIENT_KEY, max_retries=0)

    def close(self) -> None:
        self.sdk.close()

    def ask(self, model: str, *, stream: bool) -> Seen:
        asked: dict[str, Any] = {"model": model, "input": PROMPT, "tools": TOOLS, "store": False}
        if stream:
            return seen_stream(self.sdk.responses.create(**asked, stream=True))
        return seen(self.sdk.responses.create(**asked))


def seen(response: Any) -> Seen:
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[tuple[str, Any]] = []
    for item in response.output:
        if item.type == "message":
            texts += [
                str(getattr(part, "text", None) or getattr(part, "refusal", "")) for part in item.content
            ]
        elif item.type == "reasoning":
            parts = [*(item.summary or ()), *(getattr(item, "content", None) or ())]
            thoughts += [part.text for part in parts]
        elif item.type == "function_call":
            calls.append((item.name, arguments(item.arguments)))
    details = response.incomplete_details
    told = INCOMPLETE.get(details.reason) if details is not None else "stop"
    prompt, completion = counts(response.usage)
    reason = reason_of(told, bool(calls))
    return Seen("".join(texts), tuple(calls), reason, prompt, completion, "".join(thoughts))


def seen_stream(events: Any) -> Seen:
    """What the pieces told must be what the last event has as a whole."""
    text, last = "", None
    written: dict[int, str] = {}
    for event in events:
        if event.type in ("response.output_text.delta", "response.refusal.delta"):
            text += event.delta
        elif event.type == "response.function_call_arguments.delta":
            written[event.output_index] = written.get(event.output_index, "") + event.delta
        elif event.type in ENDS:
            last = seen(event.response)
    assert last is not None, "the stream has no end"
    assert text == last.text
    assert [arguments(text) for text in written.values()] == [made for _, made in last.calls]
    return last


def counts(usage: Any) -> tuple[int | None, int | None]:
    return (None, None) if usage is None else (usage.input_tokens, usage.output_tokens)
