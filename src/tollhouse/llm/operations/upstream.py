"""A provider's operation as an upstream: takes an exchange there and brings its answer back, metered.

The counterpart of `upstream_model` for everything that is no chat. Whatever comes back is counted: where a
provider tells no usage it is estimated and marked so, and what has no price by tokens (pictures, sound) has a
cost that is unknown rather than none.
"""

from collections.abc import Awaitable
from functools import partial
from typing import Final

import msgspec

from tollhouse.errors import Cause, PeerError, UpstreamFault
from tollhouse.llm import settings, shown, tokens
from tollhouse.llm.cost import PriceBook
from tollhouse.llm.credentials import Credentials
from tollhouse.llm.destination import Destination, Destinations, printable
from tollhouse.llm.dialogue import FORMS, Got
from tollhouse.llm.encoding import Gunzip, gunzip
from tollhouse.llm.envelope import Envelope
from tollhouse.llm.fixed import Fixed
from tollhouse.llm.foreign import heed
from tollhouse.llm.form import Refusal, Unreadable
from tollhouse.llm.formats.openai_chat.forward import TRUE, Members, text_of
from tollhouse.llm.operations import places
from tollhouse.llm.operations.bodies import Body, OtherBody, body_from
from tollhouse.llm.operations.choice import place_for, work_between
from tollhouse.llm.operations.several import ask_others, used_by_others
from tollhouse.llm.operations.streams import Reader
from tollhouse.llm.operations.work import Outgoing
from tollhouse.llm.provider import MODEL, Provider
from tollhouse.llm.providers import PROVIDERS
from tollhouse.llm.recognise import Asked, Operation
from tollhouse.llm.signing.signer import AwsSignature, Signer, put_token
from tollhouse.llm.terms import Terms
from tollhouse.pdk import Exchange, FieldSet, Response
from tollhouse.pdk.services import Services
from tollhouse.pdk.usage import Metered, Usage

#: Kong's default stands for what such requests need: sound and pictures are large
_DEFAULT_BODY_BYTES: Final = 8192
_USUAL_BODY_BYTES: Final = 32 * 1024 * 1024
#: operations that cost by their tokens even where these had to be estimated
_BY_TOKENS: Final[frozenset[Operation]] = frozenset({"completions", "embeddings", "generate", "invoke"})
#: operations whose answers may be large and are of no interest
_UNREAD: Final[frozenset[Operation]] = frozenset({"speech", "files"})
_COUNTING: Final[Operation] = "count_tokens"
_CLIENT_GONE: Final = "client_gone"


class _Call(msgspec.Struct):
    destination: Destination
    out: Outgoing
    body: Body
    operation: Operation
    metered: Metered
    reader: Reader | None = None
    unzip: Gunzip | None = None
    answered: bool = False
    #: the answer came to its end
    ended: bool = False
    #: the client has been told why nothing more comes, or gets another answer
    over: bool = False
    #: what has come of an error that the client gets in another form
    error: bytes | None = None


class _Slot(msgspec.Struct):
    call: _Call | None = None


class UpstreamOperation:
    """One operation of one provider for clients of one form. Its methods are the phases of a plugin."""

    def __init__(
        self,
        conf: Terms,
        services: Services,
        plugin_id: str,
        asked: Asked,
        model: settings.Model | None = None,
    ) -> None:
        """`model` stands in place of what the terms say. Raises `Unserved` where the provider has no such
        thing."""
        self.conf = conf
        self.services = services
        self._plugin_id = plugin_id
        self._operation = asked.operation
        model = model or conf.model
        options = model.options or settings.Options()
        known: Provider = PROVIDERS[conf.model.provider]
        ollama = settings.server_format(known.name, options) == "ollama"
        place = place_for(known, asked, options, speaks_ollama=ollama)
        model, place = places.at_cloud(model, asked, place)
        self._provider = provider = places.at_place(known, place)
        self._work = work_between(asked, place, MODEL in place.path, provider, drops=conf.drop_unsupported)
        #: of completions: what the operator sets in every request
        self._fixed = Fixed(asked.form, options) if asked.operation == "completions" else None
        region = services.cloud.aws_region(options.bedrock.aws_region if options.bedrock else None)
        self._destinations = Destinations(
            model, provider, provider.form, conf.route_type, services.node.local_model, region
        )
        error_form = places.ERROR_FORMS[place.wire]
        native = error_form == provider.form
        needed = settings.needed_headers(provider.headers, options) if native else ()
        self._credentials = Credentials(conf.auth, provider, needed)
        self._translates = error_form != asked.form
        self._envelope = Envelope(FORMS[asked.form], FORMS[error_form], kongs=asked.form == "openai_chat")
        self._signer = self._make_signer(region)
        size = conf.max_request_body_size
        #: largest request body that is read, in bytes
        self.request_body_limit = _USUAL_BODY_BYTES if size == _DEFAULT_BODY_BYTES else size
        self._patience = conf.limits.patience
        self._prices = self._price_book(model)

    def _price_book(self, model: settings.Model) -> PriceBook:
        options = model.options or settings.Options()
        prices = PriceBook(self._provider, options.input_cost, options.output_cost, self.conf.prices)
        # The catalogue of prices takes long to load: now, not when the first answer waits for it.
        prices.row(model.name or "", 0, self.services.wall_clock())
        return prices

    def _make_signer(self, region: str) -> Signer | None:
        auth, cloud = self.conf.auth or settings.Auth(), self.services.cloud
        if auth.gcp_use_service_account:
            return Signer(cloud.google(auth.gcp_service_account_json), put_token)
        if self._provider.signs is None or auth.header_name is not None:
            return None
        source = cloud.aws(region, auth.aws_access_key_id, auth.aws_secret_access_key)
        return Signer(source, AwsSignature(region, self._provider.signs, self.services.wall_clock).put)

    # Towards the provider

    def access(self, ex: Exchange, asked: Asked, model: str | None = None) -> Awaitable[None] | None:
        """`model`: what the client asks for, where that is not what its request says."""
        try:
            self._send(ex, asked, model)
            waiting = None if self._signer is None else self._signer.sign(ex)
        except Refusal as refusal:
            raise self._envelope.reject(refusal) from None
        slot = ex.peek(_Slot)
        if slot is not None and slot.call is not None and slot.call.out.others:
            return self._ask_others(ex, slot.call, waiting)
        return None if waiting is None else self._refusing(waiting)

    async def _ask_others(self, ex: Exchange, call: _Call, waiting: Awaitable[None] | None) -> None:
        """What has to be asked for before the exchange's own request goes. What came of it is paid for,
        whatever becomes of the rest."""
        if waiting is not None:
            await self._refusing(waiting)
        ex.sent_at = self.services.clock()
        try:
            failed = await ask_others(ex, call.out, self.services.http, self._signer)
        except Refusal as refusal:
            raise self._envelope.reject(refusal) from None
        if failed is not None:
            raise self._envelope.refused(failed)

    async def _refusing(self, waiting: Awaitable[None]) -> None:
        try:
            await waiting
        except Refusal as refusal:
            raise self._envelope.reject(refusal) from None

    def _send(self, ex: Exchange, asked: Asked, model: str | None) -> None:
        request = ex.request
        files = asked.operation == "files"
        body = OtherBody(request.content or b"") if files else body_from(request, self.request_body_limit)
        destination = self._destination(ex, body, asked, model)
        if self._fixed is not None and body.members is not None:
            self._fixed.put_in(body.members)
            if self.conf.response_streaming == "always":
                body.members["stream"] = TRUE
        stream = asked.told.stream or body.wants_stream or _streams_untold(asked, body)
        if stream and self.conf.response_streaming == "deny":
            raise Refusal("response streaming is not enabled for this LLM")
        if body.members is not None:
            self._credentials.put_in_body(body.members)
        out = self._work.request(body, asked, destination.model, stream=stream)
        out.id, out.at = ex.request_id, int(self.services.wall_clock())
        metered = ex.slot(Metered)
        metered.plugin_id, metered.provider = self._plugin_id, self.conf.model.provider
        metered.model, metered.streamed = destination.model, stream
        ex.patience = self._patience
        heed(ex, metered, streamed=stream)
        ex.slot(_Slot).call = _Call(destination, out, body, asked.operation, metered)
        if not files:
            request.replace_content(out.content)
        ex.wants_whole_response = not stream and asked.operation not in _UNREAD
        path = destination.endpoint.path
        if files:
            path = path.rstrip("/") + asked.tail
        destination.address(ex, path, self._credentials, stream=stream)
        reads = asked.operation not in _UNREAD
        self._credentials.put_in_headers(request.headers, answer_is_read=reads)

    def _destination(self, ex: Exchange, body: Body, asked: Asked, model: str | None) -> Destination:
        members: Members = {}
        name = model or asked.told.model or body.model
        if name:
            members["model"] = msgspec.Raw(msgspec.json.encode(name))
        if asked.operation == "files":
            return self._destinations.of(ex, None)
        if not name and asked.operation == "moderations" and self.conf.model.name is None:
            return self._destinations.of(ex, {"model": msgspec.Raw(b'""')})  # it has a default
        destination = self._destinations.of(ex, members)
        self._destinations.check_model(members, destination)
        return destination

    # Towards the client

    def header_filter(self, ex: Exchange) -> None:
        slot, response = ex.peek(_Slot), ex.response
        call = None if slot is None else slot.call
        if call is None or response is None or not response.from_upstream:
            return
        if self._provider.drops_cookies:
            response.headers.remove("set-cookie")
        try:
            self._unpack(call, response)
            if not 200 <= response.status < 300:
                self._failed(ex, call, response)
                return
            self._succeeded(ex, call, response)
        except (Unreadable, PeerError) as error:
            self._fail(response, str(error))

    def _succeeded(self, ex: Exchange, call: _Call, response: Response) -> None:
        metered, headers = call.metered, response.headers
        call.answered = True
        metered.statistics = self.conf.logging.log_statistics
        metered.latency_ms = int((ex.answered_at - ex.sent_at) * 1000)
        told = call.destination.shown if self.conf.model_name_header and metered.model else b""
        if call.out.ignored:
            headers.set("X-Tollhouse-Ignored-Fields", printable(", ".join(call.out.ignored)))
        if call.out.dropped:
            headers.set("X-Tollhouse-Dropped", printable(", ".join(call.out.dropped)))
        # A stream that was there at once is a whole body, and passes through `body_filter` all the same.
        call.reader = self._work.stream(headers.values.get("content-type", ""), call.out)
        if call.reader is not None:
            ex.last_words = partial(_broken_off, call, call.reader)
            if call.out.stream_type:
                headers.set("Content-Type", call.out.stream_type)
        elif response.content is None:
            self._settle(call, Got(b"", "", None))
        else:
            got = self._work.answer(response.content, headers.values, call.out)
            response.content = got.content
            self._settle(call, got)
            if self.conf.logging.log_payloads:
                self._keep(call, got.content)
            told += shown.usage_lines(metered)
        told += call.destination.who
        if told:
            ex.add_early_headers(FieldSet(None, told, shown.NAMES))

    def _keep(self, call: _Call, content: bytes) -> None:
        request, response = (bytes_.decode("utf-8", "replace") for bytes_ in (call.out.content, content))
        call.metered.payload = {"request": request, "response": response}

    def _unpack(self, call: _Call, response: Response) -> None:
        if call.operation in _UNREAD:
            return  # the client asked for this encoding
        if response.headers.values.get("content-encoding", "").lower() == "gzip":
            response.headers.remove("content-encoding")
            if response.content is None:
                call.unzip = Gunzip()
            else:
                response.content = gunzip(response.content)

    def _failed(self, ex: Exchange, call: _Call, response: Response) -> None:
        if not self._translates:
            return
        if response.content is not None:
            self._envelope.whole(response, response.content)
        else:
            call.error = b""
            ex.holds_head = True
            self._envelope.head(response)

    def _fail(self, response: Response, reason: str) -> None:
        refusal = Refusal(f"the provider's answer cannot be read: {reason}", 502)
        rejected = self._envelope.reject(refusal)
        response.status, response.line = rejected.status, b""
        response.headers.remove("content-encoding")
        body = rejected.body
        response.content = body.encode() if isinstance(body, str) else msgspec.json.encode(body)
        response.headers.set("Content-Type", "application/json")

    def own_answer(self, ex: Exchange) -> None:
        """Errors of the gateway, also of other plugins, as the client's SDK reads errors."""
        if ex.response is not None and not ex.response.from_upstream:
            slot = ex.peek(_Slot)
            if slot is not None and slot.call is not None:
                slot.call.over = True
            self._envelope.own(ex.response)

    def body_filter(self, ex: Exchange, chunk: bytes, last: bool) -> bytes:
        slot = ex.peek(_Slot)
        call = None if slot is None else slot.call
        if call is None or call.over:
            return chunk
        call.ended = last
        try:
            if call.unzip is not None:
                chunk = call.unzip.feed(chunk, last)
            if call.error is not None:
                call.error += chunk
                return self._envelope.rest(ex, call.error) if last else b""
            return chunk if call.reader is None else self._read(ex, call, call.reader, chunk, last)
        except PeerError as error:
            raise UpstreamFault(Cause.BAD_RESPONSE, str(error), sent=True) from error

    def _read(self, ex: Exchange, call: _Call, reader: Reader, chunk: bytes, last: bool) -> bytes:
        content = reader.feed(chunk, last)
        if call.metered.first_token_ms is None and reader.written:
            call.metered.first_token_ms = int((self.services.clock() - ex.sent_at) * 1000)
        return content

    def log(self, ex: Exchange) -> None:
        """Settles a stream, however it ended, and a call whose client did not wait for the answer."""
        slot = ex.peek(_Slot)
        if self._credentials.in_query and ex.upstream_target is not None:
            ex.upstream_target = self._credentials.hidden(ex.upstream_target)
        call = None if slot is None else slot.call
        if call is None:
            return
        reader = call.reader
        if reader is not None:
            self._settle(call, Got(b"", reader.model, reader.usage, written=reader.written))
        elif call.out.answers and not call.answered:
            call.metered.statistics = self.conf.logging.log_statistics
            self._settle(call, Got(b"", "", used_by_others(self._work, call.out)))
        elif ex.sent_at and ex.response is None:
            call.metered.statistics = self.conf.logging.log_statistics
            self._settle(call, Got(b"", "", None))
        call.metered.error = _error_of(ex, call)

    def _settle(self, call: _Call, got: Got) -> None:
        """What the call used and cost."""
        metered, usage = call.metered, got.usage
        metered.response_model = got.model
        if call.operation == _COUNTING:
            metered.cost_nano_usd = 0  # no provider asks money for that
            return
        if usage is None:
            written = tokens.completion_tokens(got.written)
            usage = Usage(call.body.prompt_tokens(), written, estimated=True)
            if call.operation == "speech" and call.body.members is not None:
                usage.characters = len(text_of(call.body.members.get("input")) or "")
        usage.fit()
        metered.usage = usage
        if usage.audio_ms or usage.characters:
            self._settle_by_measure(metered, got.model or metered.model, usage)
            return
        if usage.estimated and call.operation not in _BY_TOKENS:
            return
        now, prompt = self.services.wall_clock(), usage.prompt_tokens
        row = self._prices.row_between(got.model, metered.model, prompt, now, got.service_tier)
        if row is not None:
            metered.cost_nano_usd, metered.price = row.rates.nano_usd(usage), row.shown

    def _settle_by_measure(self, metered: Metered, model: str, usage: Usage) -> None:
        """The cost of what is billed by its length; that of a provider that is free is nothing."""
        if self._provider.free:
            metered.cost_nano_usd = 0
            return
        found = self._prices.by_measure(model, usage, self.services.wall_clock())
        if found is not None:
            metered.cost_nano_usd, metered.price = found


def _broken_off(call: _Call, reader: Reader, fault: UpstreamFault) -> bytes:
    """What a client is told when the provider breaks off within the answer."""
    call.over = True
    return reader.fail(f"the provider's answer broke off: {fault.detail}")


def _error_of(ex: Exchange, call: _Call) -> str:
    """What went wrong, in one word; empty if nothing did."""
    response = ex.response
    if response is None:
        return _CLIENT_GONE
    if response.status >= 400:
        return f"status_{response.status}"
    return "" if call.ended else _CLIENT_GONE


def _streams_untold(asked: Asked, body: Body) -> bool:
    """Ollama's answers are streams unless told otherwise."""
    return asked.operation == "generate" and body.members is not None and "stream" not in body.members
