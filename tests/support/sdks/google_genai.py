"""google-genai: generateContent."""

import importlib
from typing import Any

from tests.support.sdks.seen import CLIENT_KEY, DESCRIPTION, PROMPT, SCHEMA, TOOL, Seen, reason_of

genai = importlib.import_module("google.genai")
types = genai.types
DECLARED = {"name": TOOL, "description": DESCRIPTION, "parameters_json_schema": SCHEMA}
WRONG_CALLS = ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL")
REASONS = {"STOP": "stop", "MAX_TOKENS": "length", "OTHER": "stop"}


class GoogleGenai:
    def __init__(self, url: str) -> None:
        self.sdk: Any = genai.Client(api_key=CLIENT_KEY, http_options=types.HttpOptions(base_url=url))
        self._config = types.GenerateContentConfig(
            tools=[types.Tool(function_declarations=[DECLARED])],
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )

    def close(self) -> None:
        self.sdk.close()

    def ask(self, model: str, *, stream: bool) -> Seen:
        asked: dict[str, Any] = {"model": model, "contents": PROMPT, "config": self._config}
        if stream:
            return seen(list(self.sdk.models.generate_content_stream(**asked)))
        return seen([self.sdk.models.generate_content(**asked)])


def seen(answers: list[Any]) -> Seen:
    """Of a whole answer, or of all pieces of one: usage is a running total."""
    text, thinking, reason, usage = "", "", None, None
    calls: list[tuple[str, dict[str, Any]]] = []
    for answer in answers:
        usage = answer.usage_metadata or usage
        if answer.prompt_feedback is not None and answer.prompt_feedback.block_reason:
            reason = "SAFETY"
        for candidate in (answer.candidates or ())[:1]:
            reason = candidate.finish_reason.value if candidate.finish_reason else reason
            for part in (candidate.content.parts if candidate.content else None) or ():
                if part.function_call is not None:
                    add_call(calls, part.function_call)
                elif part.thought:
                    thinking += part.text or ""
                else:
                    text += part.text or ""
    told = "stop" if reason in WRONG_CALLS else REASONS.get(reason or "STOP", "content_filter")
    return Seen(text, tuple(calls), reason_of(told, bool(calls)), *counts(usage), thinking)


def add_call(calls: list[tuple[str, dict[str, Any]]], call: Any) -> None:
    """A call, or a piece of the arguments of the last one: each is a text at a path as `$.city`."""
    if call.name:
        calls.append((call.name, dict(call.args or {})))
    for piece in call.partial_args or ():
        name = piece.json_path.removeprefix("$.")
        made = calls[-1][1]
        made[name] = made.get(name, "") + (piece.string_value or "")


def counts(usage: Any) -> tuple[int | None, int | None]:
    if usage is None or usage.prompt_token_count is None:
        return None, None
    prompt = usage.prompt_token_count + (usage.tool_use_prompt_token_count or 0)
    return prompt, (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
