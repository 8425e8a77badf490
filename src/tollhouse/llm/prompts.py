"""The prompts of a request as plugins before the model see them: read, put before and behind.

Of the forms of clients these understand OpenAI's, Bedrock's Converse and Gemini's. Everything else in a
request stays as it is.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import msgspec

from tollhouse.errors import Reject

Form = Literal["openai", "bedrock", "gemini"]
Role = Literal["system", "assistant", "user"]

#: Kong's default of `max_request_body_size`, and what it stands for here: ordinary tool schemas are larger
_DEFAULT_BODY_BYTES: Final = 8192
_USUAL_BODY_BYTES: Final = 1024 * 1024
_LIST: Final[Mapping[str, str]] = {"openai": "messages", "bedrock": "messages", "gemini": "contents"}


def body_limit(configured: int) -> int:
    """The largest body that is read, in bytes."""
    return _USUAL_BODY_BYTES if configured == _DEFAULT_BODY_BYTES else configured


def refused(message: str) -> Reject:
    """Kong's AI plugins tell what is wrong in this shape."""
    return Reject(400, body={"error": {"message": message}})


def read(content: bytes | None) -> dict[str, Any]:
    """The request as an object. Raises `Reject`. Content that is `None` was too large to be read."""
    if content is None:
        raise Reject(413, body={"error": {"message": "request body is too large"}})
    try:
        body = msgspec.json.decode(content)
    except msgspec.DecodeError:
        body = None
    if not isinstance(body, dict):
        raise refused("request body doesn't contain valid prompts")
    return body


def messages(body: Mapping[str, Any], form: Form) -> list[Mapping[str, Any]] | None:
    """The messages of a chat, `None` if it is none."""
    found = body.get(_LIST[form])
    if not isinstance(found, list) or not found or not all(isinstance(one, Mapping) for one in found):
        return None
    return found


def text_of(message: Mapping[str, Any], form: Form) -> str | None:
    """The text of a message, `None` if it is not text alone."""
    content = message.get("parts" if form == "gemini" else "content")
    if isinstance(content, str):
        return content
    if form == "openai" or not isinstance(content, list):
        return None
    texts = [part.get("text") for part in content if isinstance(part, Mapping)]
    strings = [text for text in texts if isinstance(text, str)]
    return " ".join(strings) if len(strings) == len(content) else None


def decorate(
    body: dict[str, Any],
    form: Form,
    before: Iterable[tuple[Role, str]],
    behind: Iterable[tuple[Role, str]],
) -> None:
    """Puts messages before and behind those of a chat. Where a form has its system prompt in a place of its
    own, such messages go there."""
    name = _LIST[form]
    first, last = list(before), list(behind)
    if form == "openai":
        body[name] = [*(_openai(*one) for one in first), *body[name], *(_openai(*one) for one in last)]
        return
    shape = _bedrock if form == "bedrock" else _gemini
    turns = ([shape(*one) for one in some if one[0] != "system"] for some in (first, last))
    body[name] = [*next(turns), *body[name], *next(turns)]
    texts = ([{"text": text} for role, text in some if role == "system"] for some in (first, last))
    system_before, system_behind = next(texts), next(texts)
    if not system_before and not system_behind:
        return
    if form == "bedrock":
        body["system"] = [*system_before, *(body.get("system") or ()), *system_behind]
        return
    key = "system_instruction" if "system_instruction" in body else "systemInstruction"
    given = body.get(key) or {}
    body[key] = {**given, "parts": [*system_before, *(given.get("parts") or ()), *system_behind]}


def _openai(role: Role, text: str) -> dict[str, Any]:
    return {"role": role, "content": text}


def _bedrock(role: Role, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"text": text}]}


def _gemini(role: Role, text: str) -> dict[str, Any]:
    return {"role": "model" if role == "assistant" else "user", "parts": [{"text": text}]}
