"""mistralai: chat completions. Streams are not asked for their usage, so it is told only by Mistral."""

from typing import Any

from mistralai.client import Mistral
from tests.support.sdks.openai_chat import MESSAGES, TOOLS
from tests.support.sdks.seen import CLIENT_KEY, Seen, arguments, reason_of


class MistralChat:
    def __init__(self, url: str) -> None:
        self.sdk: Any = Mistral(server_url=url, api_key=CLIENT_KEY)

    def close(self) -> None:
        self.sdk.__exit__(None, None, None)

    def ask(self, model: str, *, stream: bool) -> Seen:
        asked: dict[str, Any] = {"model": model, "messages": MESSAGES, "tools": TOOLS}
        if stream:
            with self.sdk.chat.stream(**asked) as events:
                return seen([event.data for event in events])
        return seen([self.sdk.chat.complete(**asked)])


def seen(answers: list[Any]) -> Seen:
    """Of a whole answer, or of all chunks of one."""
    text, reason, prompt, completion = "", None, None, None
    calls: dict[int, list[str]] = {}
    for answer in answers:
        if answer.usage is not None and answer.usage.total_tokens:
            prompt, completion = answer.usage.prompt_tokens, answer.usage.completion_tokens
        for choice in answer.choices[:1]:
            message = getattr(choice, "delta", None) or choice.message
            text += message.content or ""
            reason = choice.finish_reason or reason
            for place, call in enumerate(message.tool_calls or ()):
                found = calls.setdefault(call.index or place, ["", ""])
                found[0] += call.function.name or ""
                found[1] += call.function.arguments or ""
    made = tuple((name, arguments(written)) for name, written in calls.values())
    return Seen(text, made, reason_of(reason, bool(made)), prompt, completion)
