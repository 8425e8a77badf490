"""Pictures that a client only names by URL, fetched for providers that take nothing but bytes.

The URLs are a stranger's: only addresses on the public internet are asked unless the operator allows others,
redirects are looked at in the same way, and size, time and number are bounded.
"""

from base64 import b64encode
from collections.abc import Awaitable, Iterator
from typing import Any, Final
from urllib.parse import urljoin

import msgspec

from tollhouse.errors import UpstreamFault
from tollhouse.llm.data_urls import data_url
from tollhouse.llm.form import MALFORMED, Refusal
from tollhouse.llm.limits import Limits
from tollhouse.llm.provider import FormName
from tollhouse.pdk import Exchange
from tollhouse.pdk.http import HttpAnswer, HttpClient

#: forms that have no place for a URL, or whose providers do not fetch what it leads to
WITHOUT_URLS: Final[frozenset[FormName]] = frozenset({"bedrock_converse", "gemini", "ollama_chat"})
_MOST: Final = 20
_HOPS: Final = 3
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_REMOTE: Final = ("http://", "https://")
#: what there is in a body that has such a picture
_HINTS: Final = (b'"image_url"', b'"input_image"', b'"url"')
_MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
)


class Pictures:
    def __init__(self, http: HttpClient, limits: Limits) -> None:
        self._http = http
        self._limit_bytes = limits.picture_size
        self._timeout_seconds = limits.picture_timeout / 1000
        self._public_only = not limits.picture_private_addresses

    def put_in(self, ex: Exchange) -> Awaitable[None] | None:
        """Puts what the URLs of a request lead to in their places; nothing to wait for if there are none.
        Raises `Refusal`, when awaited, for what cannot be had."""
        content = ex.request.content
        if not content or b"http" not in content or not any(hint in content for hint in _HINTS):
            return None
        try:
            body = msgspec.json.decode(content)
        except MALFORMED:
            return None  # whoever reads the body says what is wrong with it
        found = list(_pictures(body))
        return self._fetch(ex, body, found) if found else None

    async def _fetch(self, ex: Exchange, body: Any, found: list[dict[str, Any]]) -> None:
        if len(found) > _MOST:
            raise Refusal(
                f"{len(found)} pictures have to be fetched for this model's provider, at most {_MOST} are"
            )
        known: dict[str, tuple[str, str]] = {}
        for part in found:
            url = _url(part)
            if url not in known:
                known[url] = await self._picture(url)
            _replace(part, *known[url])
        ex.request.replace_content(msgspec.json.encode(body))

    async def _picture(self, url: str) -> tuple[str, str]:
        """Media type and base64."""
        try:
            answer = await self._answer(url, _HOPS)
        except (ValueError, UpstreamFault) as error:
            reason = error.detail if isinstance(error, UpstreamFault) else str(error)
            raise Refusal(f"the picture at {url[:200]} cannot be fetched: {reason}") from None
        kind = _kind(answer)
        if answer.status != 200 or kind is None:
            raise Refusal(f"there is no picture at {url[:200]}: status {answer.status}")
        return kind, b64encode(answer.body).decode()

    async def _answer(self, url: str, hops: int) -> HttpAnswer:
        answer = await self._http.request(
            "GET",
            url,
            headers=(("Accept", "image/*"), ("User-Agent", "tollhouse")),
            timeout_seconds=self._timeout_seconds,
            limit_bytes=self._limit_bytes,
            public_only=self._public_only,
        )
        if answer.status not in _MOVED or not hops:
            return answer
        return await self._answer(urljoin(url, answer.headers.get("location", "")), hops - 1)


def _pictures(value: Any) -> Iterator[dict[str, Any]]:
    """The parts with a picture somewhere else, as the forms of OpenAI, Anthropic and Cohere have them."""
    if isinstance(value, list):
        for item in value:
            yield from _pictures(item)
    elif isinstance(value, dict):
        if _url(value).startswith(_REMOTE):
            yield value
        elif value.get("type") not in ("tool_use", "function_call"):
            for item in value.values():
                if isinstance(item, list | dict):
                    yield from _pictures(item)


def _url(part: dict[str, Any]) -> str:
    match part:
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            return url
        case {"type": "image_url" | "input_image", "image_url": str(url)}:
            return url
        case {"type": "image", "source": {"type": "url", "url": str(url)}}:
            return url
        case _:
            return ""


def _replace(part: dict[str, Any], kind: str, data: str) -> None:
    if part["type"] == "image":
        part["source"] = {"type": "base64", "media_type": kind, "data": data}
    elif isinstance(part["image_url"], str):
        part["image_url"] = data_url(kind, data)
    else:
        part["image_url"]["url"] = data_url(kind, data)


def _kind(answer: HttpAnswer) -> str | None:
    """By its first bytes, else as the server says; `None` for what is no picture."""
    for start, kind in _MAGIC:
        if answer.body.startswith(start):
            return kind
    if answer.body[:4] == b"RIFF" and answer.body[8:12] == b"WEBP":
        return "image/webp"
    told = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    return told if told.startswith("image/") and told != "image/svg+xml" else None
