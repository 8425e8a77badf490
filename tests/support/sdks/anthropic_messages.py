"""anthropic: messages."""

from typing import Any

from anthropic import Anthropic, AnthropicVertex
from tests.support.sdks.seen import CLIENT_KEY, DESCRIPTION, PROMPT, SCHEMA, TOOL, Seen

TOOLS: Any = [{"name": TOOL, "description": DESCRIPTION, "input_schema": SCHEMA}]
MESSAGES: Any = [{"role": "user", "content": PROMPT}]
REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class AnthropicMessages:
    def __init__(self, url: str) -> None:
        self.sdk: Any = Anthropic(base_url=url, api_key=CLIENT_KEY, max_retries=0)

    def close(self) -> None:
        self.sdk.close()

    def ask(self, model: str, *, stream: bool) -> Seen:
        asked: dict[str, Any] = {"model": model, "messages": MESSAGES, "tools": TOOLS, "max_tokens": 500}
        if stream:
            with self.sdk.messages.stream(**asked) as events:
                return seen(events.get_final_message())
        return seen(self.sdk.messages.create(**asked))


class AnthropicOnVertex(AnthropicMessages):
    """The same SDK, as it asks for Claude on Google's cloud."""

    def __init__(self, url: str) -> None:
        self.sdk = AnthropicVertex(
            base_url=f"{url}/v1", project_id="p", region="global", access_token=CLIENT_KEY, max_retries=0
        )


def seen(message: Any) -> Seen:
    content, usage = message.content, message.usage
    calls = tuple((block.name, block.input) for block in content if block.type == "tool_use")
    cached = (usage.cache_creation_input_tokens or 0) + (usage.cache_read_input_tokens or 0)
    return Seen(
        "".join(block.text for block in content if block.type == "text"),
        calls,
        REASONS[message.stop_reason],
        usage.input_tokens + cached,
        usage.output_tokens,
        "".join(block.thinking for block in content if block.type == "thinking"),
    )
