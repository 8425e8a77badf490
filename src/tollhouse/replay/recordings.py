"""Recorded answers of model providers, as they were on the wire, from files of JSON.

`{"endpoint", "request": {"method", "path", "body"}, "response": {"status", "headers", "body"}}`; of a stream
`chunks` in place of `body`, one event each, and `encoding`, which says `aws-eventstream-base64` where chunks
are frames in base64.
"""

from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from tollhouse.llm.form import MALFORMED
from tollhouse.llm.provider import FormName

_FRAMES: Final = "aws-eventstream-base64"
#: the form of what was called, where no path was kept; the others are OpenAI's
FORMS_OF_ENDPOINTS: Final[dict[str, FormName]] = {
    "messages": "anthropic_messages",
    "messages.count_tokens": "anthropic_messages",
    "responses": "openai_responses",
    "generateContent": "gemini",
    "streamGenerateContent": "gemini",
    "countTokens": "gemini",
    "embedContent": "gemini",
    "predict": "gemini",
    "converse": "bedrock_converse",
    "converse-stream": "bedrock_converse",
    "count-tokens": "bedrock_converse",
    "invoke": "bedrock_converse",
    "cohere.chat": "cohere_chat",
    "embed": "cohere_chat",
    "rerank": "cohere_chat",
    "ollama.chat": "ollama_chat",
}


class NoRecording(Exception):
    """A file that is none."""


@dataclass(frozen=True, slots=True)
class Recording:
    name: str
    status: int
    headers: dict[str, str]
    #: the body as it was sent; a streamed one event by event
    chunks: tuple[bytes, ...]
    streamed: bool
    #: what the client had sent, `None` where that was not kept
    request: Any = None
    #: what was called, as `chat.completions`, `responses` or `messages`
    endpoint: str = ""
    #: where the client had sent it, without a query; empty where that was not kept
    path: str = ""
    method: str = "POST"
    #: what is in the answer: `text`, `tool_call`, …
    kinds: frozenset[str] = field(default=frozenset())

    @property
    def content(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def provider(self) -> str:
        return self.name.partition("/")[0]

    @property
    def form(self) -> FormName:
        return FORMS_OF_ENDPOINTS.get(self.endpoint, "openai_chat")

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "application/json")

    @property
    def is_ollama(self) -> bool:
        """Whether it is in Ollama's own form; Ollama also speaks OpenAI's."""
        return self.endpoint == "ollama.chat"

    @property
    def head(self) -> bytes:
        """The status line and the fields that tell how to read the body."""
        return f"HTTP/1.1 {self.status} Recorded\r\nContent-Type: {self.content_type}\r\n".encode()


class _Request(msgspec.Struct):
    body: Any = None
    path: str | None = None
    method: str | None = None


class _Response(msgspec.Struct):
    status: int
    headers: dict[str, str] | None = None
    body: Any = None
    chunks: list[str] | None = None
    encoding: str | None = None


class _File(msgspec.Struct):
    response: _Response
    request: _Request | None = None
    endpoint: str | None = None
    kinds: list[str] | None = None


def read(path: Path, name: str | None = None) -> Recording:
    """The recording in a file. Raises `NoRecording` with the reason why there is none."""
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=_File)
        chunks, streamed = _chunks(stored.response)
    except (OSError, ValueError, *MALFORMED) as error:
        raise NoRecording(f"{path}: {error}") from None
    request, response = stored.request or _Request(), stored.response
    return Recording(
        name or path.stem,
        response.status,
        {field.lower(): value for field, value in (response.headers or {}).items()},
        chunks,
        streamed,
        request.body,
        stored.endpoint or "",
        (request.path or "").partition("?")[0],
        request.method or "POST",
        frozenset(stored.kinds or ()),
    )


def _chunks(response: _Response) -> tuple[tuple[bytes, ...], bool]:
    if response.chunks is None:
        body = response.body
        return (body.encode() if isinstance(body, str) else msgspec.json.encode(body),), False
    if response.encoding == _FRAMES:
        return tuple(b64decode(chunk, validate=True) for chunk in response.chunks), True
    return tuple(chunk.encode() for chunk in response.chunks), True


def read_all(paths: Iterable[Path]) -> list[Recording]:
    """Those of files, and of all `.json` files under folders, named by where they are. Raises
    `NoRecording`."""
    found = []
    for path in paths:
        if path.is_dir():
            files = sorted(path.rglob("*.json"))
            found += [read(each, str(each.relative_to(path).with_suffix(""))) for each in files]
        else:
            found.append(read(path, f"{path.parent.name}/{path.stem}"))
    return found
