"""langchain-openai: chat models."""

from typing import Any

from langchain_openai import ChatOpenAI
from tests.support.sdks.openai_chat import TOOLS
from tests.support.sdks.seen import CLIENT_KEY, PROMPT, Seen, reason_of


class LangchainChat:
    def __init__(self, url: str) -> None:
        self._url = url

    def close(self) -> None:
        """Its connections belong to no object of ours."""

    def ask(self, model: str, *, stream: bool) -> Seen:
        key: Any = CLIENT_KEY
        sdk = ChatOpenAI(
            base_url=f"{self._url}/v1", api_key=key, model=model, max_retries=0, stream_usage=True
        ).bind_tools(TOOLS)
        if not stream:
            return seen(sdk.invoke(PROMPT))
        whole: Any = None
        for chunk in sdk.stream(PROMPT):
            whole = chunk if whole is None else whole + chunk
        return seen(whole)


def seen(message: Any) -> Seen:
    calls = tuple((call["name"], call["args"]) for call in message.tool_calls)
    usage = message.usage_metadata or {}
    reason = reason_of(message.response_metadata["finish_reason"], bool(calls))
    return Seen(str(message.content), calls, reason, usage.get("input_tokens"), usage.get("output_tokens"))
