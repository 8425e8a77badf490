"""ai-response-transformer: a model rewrites the service's answer before the client gets it.

The answer is taken whole, with balancing, retries and timeouts as of every other request; then the model
gets the configured prompt as system message and the body as the user's. What it answers is the new body, or,
if so configured, an object of headers, status and body. The call is metered as a line of its own.
"""

import json
import re
from dataclasses import dataclass
from typing import Final

import msgspec

from tollhouse.llm import transforming
from tollhouse.pdk import Exchange, Plugin, Reject, setting

_FIELD_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FIELD_VALUE: Final = re.compile(r"[\t -~]*")
#: fields of the service's answer that do not describe the model's
_NOT_KEPT: Final = frozenset(
    {
        "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
        "content-length", "content-encoding", "etag", "last-modified", "content-md5", "digest", "date",
        "server",
    }
)  # fmt: skip
_BAD_INSTRUCTIONS: Final = "failed to parse JSON response instructions from AI backend: {}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(transforming.Transforming):
    parse_llm_response_json_instructions: bool = setting(
        False,
        required=True,
        doc='The model answers with `{"headers": {…}, "status": 200, "body": "…"}`, each of them optional.',
    )


class _Instructions(msgspec.Struct):
    """What a model may settle of an answer."""

    headers: dict[str, str] | None = None
    status: int | None = None
    body: str | None = None


class AiResponseTransformer(Plugin[Config]):
    name = "ai-response-transformer"
    priority = 768
    Config = Config

    def prepare(self) -> None:
        self._rewriter = transforming.Rewriter(self.conf, self.services, name=self.name, plugin_id=self.id)
        self.request_body_limit: int = self._rewriter.request_body_limit

    def access(self, ex: Exchange) -> None:
        self._rewriter.request_content(ex)
        # What the model shall read must not come packed.
        ex.request.headers.remove("accept-encoding")
        ex.remake = self._remake

    async def _remake(self, ex: Exchange) -> None:
        """Raises the answer."""
        response = ex.response
        if response is None:
            return
        said = await self._rewriter.rewritten(ex, response.content or b"")
        headers = {name: value for name, value in response.headers.items() if name not in _NOT_KEPT}
        status, body = response.status, said
        if self.conf.parse_llm_response_json_instructions:
            told = _instructions(said)
            headers |= {name.lower(): value for name, value in (told.headers or {}).items()}
            status, body = told.status or 200, said if told.body is None else told.body
        raise Reject(status, body=body, headers=headers, exact=True)


def _instructions(said: str) -> _Instructions:
    """Raises `Reject` for what is no object of that kind, or would not be an answer."""
    try:
        # Models write line breaks into strings as they are, which Kong's parser takes.
        told = msgspec.convert(json.loads(said, strict=False), _Instructions)
    except json.JSONDecodeError as error:
        raise _refused(_in_kongs_words(error)) from None
    except (msgspec.ValidationError, RecursionError) as error:
        raise _refused(str(error)) from None
    if told.status is not None and not 200 <= told.status <= 599:
        raise _refused(f"{told.status} is no status of an answer")
    for name, value in (told.headers or {}).items():
        if name.lower() in _NOT_KEPT or not (_FIELD_NAME.fullmatch(name) and _FIELD_VALUE.fullmatch(value)):
            raise _refused(f"header {name[:100]!r} cannot be set")
    return told


def _in_kongs_words(error: json.JSONDecodeError) -> str:
    """What a client reads of Kong's parser where there is no value."""
    if error.msg != "Expecting value":
        return str(error)
    found = "T_END" if error.pos == len(error.doc) else "invalid token"
    return f"Expected value but found {found} at character {error.pos + 1}"


def _refused(why: str) -> Reject:
    return Reject(500, body={"error": {"message": _BAD_INSTRUCTIONS.format(why)}})
