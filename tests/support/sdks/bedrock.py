"""boto3: Bedrock's Converse."""

import importlib
from contextlib import closing
from typing import Any

from tests.support.sdks.seen import CLIENT_KEY, DESCRIPTION, PROMPT, SCHEMA, TOOL, Seen, arguments

boto3 = importlib.import_module("boto3")
config = importlib.import_module("botocore.config")
TOOLS = {"tools": [{"toolSpec": {"name": TOOL, "description": DESCRIPTION, "inputSchema": {"json": SCHEMA}}}]}
MESSAGES = [{"role": "user", "content": [{"text": PROMPT}]}]
REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}


class BedrockConverse:
    def __init__(self, url: str) -> None:
        self.sdk: Any = boto3.client(
            "bedrock-runtime",
            endpoint_url=url,
            region_name="eu-west-1",
            aws_access_key_id=CLIENT_KEY,
            aws_secret_access_key="the-client-s-own-secret",
            aws_session_token="the-client-s-own-session",
            config=config.Config(retries={"total_max_attempts": 1}),
        )

    def close(self) -> None:
        self.sdk.close()

    def ask(self, model: str, *, stream: bool) -> Seen:
        asked = {"modelId": model, "messages": MESSAGES, "toolConfig": TOOLS}
        if stream:
            with closing(self.sdk.converse_stream(**asked)["stream"]) as events:
                return seen_stream(events)
        return seen(self.sdk.converse(**asked))


def seen(answer: dict[str, Any]) -> Seen:
    content = answer["output"]["message"]["content"]
    texts = [block["text"] for block in content if "text" in block]
    calls = tuple(
        (block["toolUse"]["name"], block["toolUse"]["input"]) for block in content if "toolUse" in block
    )
    thoughts = [block["reasoningContent"] for block in content if "reasoningContent" in block]
    thinking = "".join(thought.get("reasoningText", {}).get("text", "") for thought in thoughts)
    return Seen("".join(texts), calls, REASONS[answer["stopReason"]], *counts(answer["usage"]), thinking)


def seen_stream(events: Any) -> Seen:
    text, thinking, reason, usage = "", "", "", None
    calls: dict[int, list[str]] = {}
    for event in events:
        if "contentBlockStart" in event:
            start = event["contentBlockStart"]
            if "toolUse" in start["start"]:
                calls[start["contentBlockIndex"]] = [start["start"]["toolUse"]["name"], ""]
        elif "contentBlockDelta" in event:
            delta = event["contentBlockDelta"]["delta"]
            text += delta.get("text", "")
            thinking += delta.get("reasoningContent", {}).get("text", "")
            if "toolUse" in delta:
                calls[event["contentBlockDelta"]["contentBlockIndex"]][1] += delta["toolUse"]["input"]
        elif "messageStop" in event:
            reason = event["messageStop"]["stopReason"]
        elif "metadata" in event:
            usage = event["metadata"]["usage"]
    made = tuple((name, arguments(written)) for name, written in calls.values())
    return Seen(text, made, REASONS[reason], *counts(usage), thinking)


def counts(usage: Any) -> tuple[int | None, int | None]:
    if usage is None:
        return None, None
    cached = usage.get("cacheReadInputTokens", 0) + usage.get("cacheWriteInputTokens", 0)
    return usage["inputTokens"] + cached, usage["outputTokens"]
