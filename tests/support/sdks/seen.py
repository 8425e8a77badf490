"""What an application sees of an answer, whichever SDK it uses."""

from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

#: what every client shows as its key; no provider may ever see it
CLIENT_KEY = "client-key-of-the-application"
PROMPT = "What is the weather in Paris?"
TOOL = "get_weather"
DESCRIPTION = "Tells the weather."
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}


@dataclass(frozen=True, slots=True)
class Seen:
    """Tokens are canonical: what went in includes what was cached, what came out includes thoughts;
    `None` where nothing was told."""

    text: str
    #: names and arguments
    calls: tuple[tuple[str, Any], ...]
    reason: str
    prompt_tokens: int | None
    completion_tokens: int | None
    thinking: str = ""


class Client(Protocol):
    """An SDK that is pointed at an address."""

    def ask(self, model: str, *, stream: bool) -> Seen: ...

    def close(self) -> None: ...


def arguments(text: str | None) -> Any:
    """The arguments of a call, which may be empty."""
    return msgspec.json.decode(text or "{}")


def reason_of(told: str | None, calls: bool) -> str:
    """Forms without a reason of their own for calls end with `stop`."""
    return "tool_calls" if calls and told in (None, "stop") else (told or "stop")
