"""Calls of a model that the gateway makes itself, for a plugin that wants to know what it says.

Such a call is an exchange of its own that has no client: keys, signatures, translation, metering and prices
are those of every other call. What it used is put down beside the client's own use, never in it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from tollhouse.errors import UpstreamFault
from tollhouse.llm import settings
from tollhouse.llm.call import Call
from tollhouse.llm.form import MALFORMED, Refusal
from tollhouse.llm.limits import Limits, Price
from tollhouse.llm.provider import FormName
from tollhouse.llm.upstream_model import UpstreamModel
from tollhouse.pdk import Exchange, Request, Response
from tollhouse.pdk.services import Services
from tollhouse.pdk.usage import Metered, OwnCalls
from tollhouse.wire.headers import Headers
from tollhouse.wire.uri import Target

_FIELDS: Final = (
    ("Content-Type", "application/json"),
    ("Accept", "application/json"),
    ("User-Agent", "tollhouse"),
)
_WRITTEN_LATER: Final = frozenset({"content-length", "accept-encoding"})
_PORTS: Final = {"http": 80, "https": 443}
#: a field of AWS's signatures
_SIGNED: Final = "x-amz-date"
#: largest answer that is taken, in bytes
_ANSWER_BYTES: Final = 8 * 1024 * 1024
_SHOWN_CHARACTERS: Final = 300
_FAILED: Final = "failed to introspect request with AI service: {}"
_NO_CHOICES: Final = "no 'choices' in upstream AI service response"
_NOT_CONVERTED: Final = "failed to convert AI response to Kong format: {}"
_BLOCKED: Final = (
    "transformation failed from type gemini://llm/v1/chat: "
    "transformation generation candidate breached Gemini content safety"
)

log = logging.getLogger("tollhouse.llm")


class CallFailed(Exception):
    """There is no answer of the model; the message says why."""


@dataclass(frozen=True, slots=True)
class OwnTerms:
    """The `Terms` of calls that the gateway makes: chats in OpenAI's form, never streamed."""

    auth: settings.Auth | None
    model: settings.Model
    logging: settings.Logging
    client_form: FormName = "openai_chat"
    route_type: settings.RouteType = "llm/v1/chat"
    response_streaming: Literal["allow", "deny", "always"] = "deny"
    #: what the gateway itself makes up is not limited here
    max_request_body_size: int = 1 << 40
    model_name_header: bool = False
    drop_unsupported: bool = False
    limits: Limits = Limits()  # noqa: RUF009 - it is frozen
    prices: Sequence[Price] | None = None


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message | None = None
    finish_reason: str | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice] | None = None


class _Error(msgspec.Struct):
    message: str


class _Unusable(msgspec.Struct):
    error: _Error


class OwnModel:
    """A model that the gateway asks. `purpose` is the name of the plugin it asks for."""

    def __init__(
        self,
        terms: OwnTerms,
        services: Services,
        *,
        purpose: str,
        plugin_id: str,
        timeout_ms: int,
        verify: bool,
    ) -> None:
        self._model = UpstreamModel(terms, services, plugin_id)
        self._services = services
        self._purpose = purpose
        self._provider = terms.model.provider
        self._timeout_seconds = timeout_ms / 1000
        self._verify = verify
        name = terms.auth.header_name if terms.auth and terms.auth.allow_override else None
        self._override = name.lower() if name is not None else None

    async def ask(self, ex: Exchange, system: str, user: str) -> str:
        """What the model says to a prompt and a text; `ex` is billed for it. Raises `CallFailed`."""
        own = self._exchange(ex, system, user)
        try:
            await self._model.direct_own(own)
            await self._send(own)
        except Refusal as refusal:
            raise CallFailed(_FAILED.format(refusal.message)) from None
        except UpstreamFault as fault:
            raise CallFailed(_FAILED.format(fault.detail)) from None
        finally:
            self._put_down(ex, own)
        return _said(own, self._provider)

    def _exchange(self, ex: Exchange, system: str, user: str) -> Exchange:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        request = Request()
        request.method, request.minor = "POST", 1
        request.target = Target("/")
        request.headers = Headers.new(_FIELDS)
        if self._override is not None and self._override in ex.request.headers:
            request.headers.set(self._override, ex.request.headers[self._override])
        request.replace_content(msgspec.json.encode({"messages": messages, "stream": False}))
        return Exchange(ex.client, request, ex.request_id, self._services.clock())

    async def _send(self, own: Exchange) -> None:
        if own.upstream_address is None:
            raise Refusal("the model has no address")
        scheme, host, port = own.upstream_address
        shown = f"[{host}]" if ":" in host else host
        if port != _PORTS.get(scheme):
            shown += f":{port}"
        headers = [pair for pair in own.request.headers.items() if pair[0] not in _WRITTEN_LATER]
        if own.upstream_host is not None and _SIGNED in own.request.headers:
            headers.append(("Host", own.upstream_host))  # as the signature has it
        headers.append(("Accept-Encoding", ""))
        own.sent_at = self._services.clock()
        answer = await self._services.http.request(
            own.request.method,
            f"{scheme}://{shown}{own.upstream_target}",
            headers=headers,
            body=own.request.content or b"",
            timeout_seconds=self._timeout_seconds,
            limit_bytes=_ANSWER_BYTES,
            verify=self._verify,
        )
        own.answered_at = self._services.clock()
        own.upstream_status = answer.status
        response = own.response = Response.own(answer.status, answer.body)
        response.from_upstream = True
        response.headers = Headers.new(answer.headers.items())
        self._model.header_filter(own)
        response.content = self._model.body_filter(own, response.content or b"", True)

    def _put_down(self, ex: Exchange, own: Exchange) -> None:
        self._model.log(own)
        metered = own.peek(Metered)
        if metered is not None and own.sent_at:
            ex.slot(OwnCalls).made.append((self._purpose, metered))


def _said(own: Exchange, provider: str) -> str:
    response, call = own.response, own.peek(Call)
    content = response.content or b"" if response is not None else b""
    if call is not None and call.unusable:
        raise CallFailed(_NOT_CONVERTED.format(_reason_in(content)))
    if response is None or response.status != 200 or call is None:
        shown = content[:_SHOWN_CHARACTERS].decode("utf-8", "replace")
        log.warning("a model that a plugin asked answered %d: %s", own.upstream_status, shown)
        raise CallFailed(_FAILED.format(f"status code {own.upstream_status}"))
    try:
        answer = msgspec.json.decode(content, type=_Answer)
    except MALFORMED:
        raise CallFailed(_NO_CHOICES) from None
    choice = answer.choices[0] if answer.choices else _Choice()
    said = choice.message.content if choice.message is not None else None
    if not said and choice.finish_reason == "content_filter" and provider == "gemini":
        raise CallFailed(_NOT_CONVERTED.format(_BLOCKED))
    if said is None:
        raise CallFailed(_NO_CHOICES)
    return said


def _reason_in(content: bytes) -> str:
    """Why an answer could not be used, out of the error that stands in its place."""
    return msgspec.json.decode(content, type=_Unusable).error.message
