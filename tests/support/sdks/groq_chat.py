"""groq: chat completions."""

from typing import Any

from groq import Groq
from tests.support.sdks.openai_chat import MESSAGES, TOOLS, seen, seen_stream
from tests.support.sdks.seen import CLIENT_KEY, Seen


class GroqChat:
    def __init__(self, url: str) -> None:
        self.sdk: Any = Groq(base_url=url, api_key=CLIENT_KEY, max_retries=0)

    def close(self) -> None:
        self.sdk.close()

    def ask(self, model: str, *, stream: bool) -> Seen:
        asked: dict[str, Any] = {"model": model, "messages": MESSAGES, "tools": TOOLS}
        if not stream:
            return seen(self.sdk.chat.completions.create(**asked))
        # The SDK does not name the field, its API takes it.
        body = {"stream_options": {"include_usage": True}}
        return seen_stream(self.sdk.chat.completions.create(**asked, stream=True, extra_body=body))
