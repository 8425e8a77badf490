"""The operations of a route that has one model: its type says which, paths and bodies tell them apart where
there are several (speech and transcriptions, generations and edits)."""

from collections.abc import Awaitable
from dataclasses import replace
from typing import Any, Final

import msgspec

from tollhouse.llm.counting import counted_tokens
from tollhouse.llm.endpoint import Unserved
from tollhouse.llm.form import Refusal
from tollhouse.llm.on_vertex import anthropics_body
from tollhouse.llm.operations.places import COMPLETIONS, ROUTE_OPERATIONS
from tollhouse.llm.operations.upstream import UpstreamOperation
from tollhouse.llm.provider import FormName
from tollhouse.llm.recognise import Asked, recognised
from tollhouse.llm.settings import Model, RouteType
from tollhouse.llm.terms import Terms
from tollhouse.llm.upstream_model import UpstreamModel
from tollhouse.pdk import Exchange, Reject
from tollhouse.pdk.body import MULTIPART
from tollhouse.pdk.services import Services

#: forms whose clients ask for the number of tokens before they chat
COUNTING_FORMS: Final[frozenset[FormName]] = frozenset({"anthropic_messages", "gemini", "bedrock_converse"})
#: how paths of chats end, and of counting
_COUNTED_AT: Final = {
    "/messages": "/messages/count_tokens",
    ":generateContent": ":countTokens",
    "/converse": "/count-tokens",
}
_AUDIO: Final = "llm/v1/audio"


def asked_on(route_type: RouteType, form: FormName) -> Asked:
    """What requests on such a route ask for if they do not say."""
    operation, tail = ROUTE_OPERATIONS.get(route_type, COMPLETIONS)
    own_tail = tail if form == "openai_chat" and operation != "files" else ""
    return Asked(form, operation, tail=own_tail)


class _Chosen(msgspec.Struct):
    operation: UpstreamOperation | None = None


class RouteUpstream:
    """The phases of a plugin whose route is of one of these types."""

    def __init__(self, conf: Terms, services: Services, plugin_id: str) -> None:
        self._conf = conf
        self._services = services
        self._plugin_id = plugin_id
        self._usual = asked_on(conf.route_type, conf.client_form)
        self._known: dict[tuple[str, str], UpstreamOperation] = {}
        #: the one that answers for the others
        self._first = self._of(self._usual)
        self.request_body_limit = self._first.request_body_limit

    def _of(self, asked: Asked) -> UpstreamOperation:
        tail = "" if asked.operation == "files" else asked.tail
        found = self._known.get((asked.operation, tail))
        if found is None:
            kind = Asked(asked.form, asked.operation, tail=tail)
            found = UpstreamOperation(self._conf, self._services, self._plugin_id, kind)
            self._known[asked.operation, tail] = found
        return found

    def access(self, ex: Exchange) -> Awaitable[None] | None:
        asked = self._asked(ex)
        operation = self._of(asked)
        ex.slot(_Chosen).operation = operation
        return operation.access(ex, asked)

    def _asked(self, ex: Exchange) -> Asked:
        """As the path says, if that is something that belongs on such a route."""
        usual = self._usual
        found = recognised(ex.request.path)
        if found is not None and found.form == usual.form:
            audio = self._conf.route_type == _AUDIO and found.operation in ("speech", "transcriptions")
            if found.operation == usual.operation or audio:
                return found
        if self._conf.route_type == _AUDIO and ex.request.media_type == MULTIPART:
            return replace(usual, operation="transcriptions", tail="/audio/transcriptions")
        if usual.operation == "files":
            return replace(usual, tail=ROUTE_OPERATIONS[self._conf.route_type][1])
        return usual

    def header_filter(self, ex: Exchange) -> None:
        if (chosen := ex.peek(_Chosen)) is not None and chosen.operation is not None:
            chosen.operation.header_filter(ex)

    def body_filter(self, ex: Exchange, chunk: bytes, last: bool) -> bytes:
        chosen = ex.peek(_Chosen)
        if chosen is None or chosen.operation is None:
            return chunk
        return chosen.operation.body_filter(ex, chunk, last)

    def own_answer(self, ex: Exchange) -> None:
        self._first.own_answer(ex)

    def log(self, ex: Exchange) -> None:
        if (chosen := ex.peek(_Chosen)) is not None and chosen.operation is not None:
            chosen.operation.log(ex)


class CountingUpstream(UpstreamModel):
    """Chats, and the number of tokens of one: the provider's if it speaks the client's form, else an
    estimate."""

    def __init__(self, conf: Terms, services: Services, plugin_id: str) -> None:
        super().__init__(conf, services, plugin_id)
        kind = Asked(conf.client_form, "count_tokens")
        self._counter: UpstreamOperation | None
        try:
            self._counter = UpstreamOperation(conf, services, plugin_id, kind, _counted_at(conf.model))
        except Unserved:
            self._counter = None
        self._log_chat = self.log
        self.header_filter, self.body_filter, self.log = self._filter_head, self._filter_body, self._log_any

    def access(self, ex: Exchange) -> Awaitable[None] | None:
        asked = recognised(ex.request.path)
        if asked is not None and asked.on_vertex and asked.form == self.conf.client_form:
            self._as_anthropics(ex, asked)
        if asked is None or asked.operation != "count_tokens" or asked.form != self.conf.client_form:
            return super().access(ex)
        if self._counter is None:
            raise Reject(200, body=self._estimated(ex, asked), exact=True)
        ex.slot(_Chosen).operation = self._counter
        return self._counter.access(ex, asked)

    def _as_anthropics(self, ex: Exchange, asked: Asked) -> None:
        """Makes it a request of Anthropic's own API."""
        try:
            ex.request.replace_content(anthropics_body(ex.request.content or b"", asked.told))
        except Refusal as refusal:
            raise self._envelope.reject(refusal) from None

    def _estimated(self, ex: Exchange, asked: Asked) -> dict[str, Any]:
        try:
            return counted_tokens(asked.form, ex.request.content or b"", asked.told)
        except Refusal as refusal:
            raise self._envelope.reject(refusal) from None

    def _filter_head(self, ex: Exchange) -> None:
        counter = _counter_of(ex)
        self._answering.header_filter(ex) if counter is None else counter.header_filter(ex)

    def _filter_body(self, ex: Exchange, chunk: bytes, last: bool) -> bytes:
        counter = _counter_of(ex)
        if counter is None:
            return self._answering.body_filter(ex, chunk, last)
        return counter.body_filter(ex, chunk, last)

    def _log_any(self, ex: Exchange) -> None:
        counter = _counter_of(ex)
        self._log_chat(ex) if counter is None else counter.log(ex)


def _counted_at(model: Model) -> Model:
    """The model where its tokens are counted, if the settings tell where it chats. Raises `Unserved`."""
    options = model.options
    if options is None or options.upstream_url is None:
        return model
    for chats, counts in _COUNTED_AT.items():
        if options.upstream_url.endswith(chats):
            url = options.upstream_url.removesuffix(chats) + counts
            return replace(model, options=replace(options, upstream_url=url))
    raise Unserved("nobody told where tokens are counted")


def _counter_of(ex: Exchange) -> UpstreamOperation | None:
    chosen = ex.peek(_Chosen)
    return None if chosen is None else chosen.operation
