"""Recorded answers of model providers, as they were on the wire."""

from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

FOLDER = Path(__file__).parents[1] / "data" / "llm"


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

    @property
    def content(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def provider(self) -> str:
        return self.name.partition("/")[0]

    @property
    def is_ollama(self) -> bool:
        """Whether it is in Ollama's own form; Ollama also speaks OpenAI's."""
        return self.name.startswith("ollama/api-")

    @property
    def head(self) -> bytes:
        """The status line and the fields that tell how to read the body."""
        kind = self.headers.get("content-type", "application/json")
        return f"HTTP/1.1 {self.status} Recorded\r\nContent-Type: {kind}\r\n".encode()


def recording(name: str) -> Recording:
    """The recording of that name, as `openai/chat-text-gpt-4o-mini`."""
    stored = msgspec.json.decode((FOLDER / f"{name}.json").read_bytes())
    response = stored["response"]
    body = response.get("body")
    if response.get("encoding") == "aws-eventstream-base64":
        chunks = tuple(b64decode(chunk) for chunk in response["chunks"])
    elif "chunks" in response:
        chunks = tuple(chunk.encode() for chunk in response["chunks"])
    elif isinstance(body, str):
        chunks = (body.encode(),)
    else:
        chunks = (msgspec.json.encode(body),)
    return Recording(
        name,
        response["status"],
        response.get("headers") or {},
        chunks,
        "chunks" in response,
        (stored.get("request") or {}).get("body"),
        stored.get("endpoint", ""),
    )


def recordings(*endpoints: str) -> list[Recording]:
    """Those of the endpoints, all of them if none is named, but never the synthetic errors."""
    names = sorted(str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.glob("*/*.json"))
    found = [recording(name) for name in names if not name.startswith("synthetic/")]
    return [stored for stored in found if not endpoints or stored.endpoint in endpoints]
