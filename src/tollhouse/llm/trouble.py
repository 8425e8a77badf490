"""What statuses and words of providers mean, wherever several of them say it alike."""

import re
from typing import Final

from tollhouse.llm.chat import Trouble

_BY_STATUS: Final[dict[int, Trouble]] = {
    400: "invalid_request",
    401: "upstream_auth",
    402: "quota",
    403: "permission",
    404: "not_found",
    408: "timeout",
    409: "invalid_request",
    413: "too_large",
    422: "invalid_request",
    424: "upstream_error",
    429: "rate_limit",
    499: "timeout",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}
_CONTEXT: Final = re.compile(
    r"context.{0,3}(length|window)|prompt is too long|too many (total )?(text )?(input )?tokens"
    r"|too_many_tokens|maximum (context|number of tokens)|input token count|input is too long",
    re.IGNORECASE,
)
_BAD_KEY: Final = re.compile(
    r"api.?key.{0,20}(invalid|incorrect|not valid|expired)|(invalid|incorrect|wrong) api.?key", re.IGNORECASE
)
_QUOTA: Final = re.compile(
    r"insufficient.?quota|credit balance|billing|exceeded your current quota", re.IGNORECASE
)


def trouble_of(status: int, message: str, code: str = "") -> Trouble:
    """What a provider's error is about, by its status, the text of it and the code it names."""
    words = f"{code} {message}"
    if status in (400, 413) and _CONTEXT.search(words):
        return "context_length"
    if status in (400, 401, 403) and _BAD_KEY.search(words):
        return "upstream_auth"
    if status == 400 and "content_filter" in code:
        return "content_filter"
    if status == 429 and _QUOTA.search(words):
        return "quota"
    return _BY_STATUS.get(status, "invalid_request" if 400 <= status < 500 else "upstream_error")


def short(body: bytes) -> str:
    """The beginning of an error that is no JSON: of a proxy in front, for instance."""
    return " ".join(body[:300].decode("utf-8", "replace").split())
