"""ai-response-transformer: a model rewrites the service's answer before the client gets it.

The answer is taken whole, with balancing, retries and timeouts as of every other request; then the model
gets the configured prompt as system message and the body as the user's. What it answers is the new body, or,
if so configured, an object of headers, status and body. The call is metered as a line of its own.
"""

import re
from dataclasses import dataclass
from typing import Final

import msgspec

from tollhouse.llm import prompts, transforming
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
class Config:
    prompt: str = setting(required=True, doc="What the model is told to do with a body.")
    transformation_extract_pattern: str | None = setting(
        None,
        required=False,
        validator=transforming.pattern_problem,
        doc="Regular expression for the part of the model's answer that is taken; without it all of it is.",
    )
    parse_llm_response_json_instructions: bool = setting(
        False,
        required=True,
        doc='The model answers with `{"headers": {…}, "status": 200, "body": "…"}`, each of them optional.',
    )
    http_timeout: int = setting(60000, required=True, gt=0, unit="ms", doc="How long the model may take.")
    https_verify: bool = setting(True, required=True, doc="Check the certificate of the model's server.")
    max_request_body_size: int = setting(
        8192,
        gt=0,
        unit="B",
        doc="Largest request that is let through to the service; the default stands for 1 MiB.",
    )
    http_proxy_host: str | None = setting(
        None, validator=transforming.no_proxy, doc="Refused: models are called directly."
    )
    http_proxy_port: int | None = setting(None, between=(0, 65535), doc="Needs `http_proxy_host`.")
    https_proxy_host: str | None = setting(
        None, validator=transforming.no_proxy, doc="Refused: models are called directly."
    )
    https_proxy_port: int | None = setting(None, between=(0, 65535), doc="Needs `https_proxy_host`.")
    llm: transforming.Llm = setting(required=True, doc="The model, as `ai-proxy` is told of one.")

    CHECKS = transforming.CHECKS


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
        conf = self.conf
        self.request_body_limit: int = prompts.body_limit(conf.max_request_body_size)
        self._rewriter = transforming.Rewriter(
            name=self.name,
            plugin_id=self.id,
            services=self.services,
            llm=conf.llm,
            prompt=conf.prompt,
            pattern=conf.transformation_extract_pattern,
            timeout_ms=conf.http_timeout,
            verify=conf.https_verify,
        )

    def access(self, ex: Exchange) -> None:
        content = ex.request.content
        if content is None or len(content) > self.request_body_limit:
            raise Reject(413, body={"error": {"message": "request body is too large"}})
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
            status, body = told.status or status, told.body or ""
        raise Reject(status, body=body, headers=headers, exact=True)


def _instructions(said: str) -> _Instructions:
    """Raises `Reject` for what is no object of that kind, or would not be an answer."""
    try:
        told = msgspec.json.decode(said, type=_Instructions)
    except msgspec.DecodeError as error:
        raise _refused(str(error)) from None
    if told.status is not None and not 200 <= told.status <= 599:
        raise _refused(f"{told.status} is no status of an answer")
    for name, value in (told.headers or {}).items():
        if name.lower() in _NOT_KEPT or not (_FIELD_NAME.fullmatch(name) and _FIELD_VALUE.fullmatch(value)):
            raise _refused(f"header {name[:100]!r} cannot be set")
    return told


def _refused(why: str) -> Reject:
    return Reject(500, body={"error": {"message": _BAD_INSTRUCTIONS.format(why)}})
