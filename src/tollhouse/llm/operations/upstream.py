"""A provider's operation as an upstream: takes an exchange there and brings its answer back, metered.

The counterpart of `upstream_model` for everything that is no chat. The way back is in `answering`.
"""

from collections.abc import Awaitable
from typing import Final

import msgspec

from tollhouse.llm import settings
from tollhouse.llm.cost import PriceBook
from tollhouse.llm.credentials import Credentials
from tollhouse.llm.destination import Destination, Destinations
from tollhouse.llm.dialogue import FORMS
from tollhouse.llm.envelope import Envelope
from tollhouse.llm.fixed import Fixed
from tollhouse.llm.foreign import heed
from tollhouse.llm.form import Refusal
from tollhouse.llm.formats.openai_chat.forward import TRUE, Members
from tollhouse.llm.once import IDEMPOTENCY_KEY, First, Firsts
from tollhouse.llm.operations import places
from tollhouse.llm.operations.answering import OperationAnswering
from tollhouse.llm.operations.bodies import Body, OtherBody, body_from
from tollhouse.llm.operations.call import OperationCall, Slot
from tollhouse.llm.operations.choice import place_for, work_between
from tollhouse.llm.operations.several import ask_others
from tollhouse.llm.provider import MODEL, Provider
from tollhouse.llm.providers import PROVIDERS
from tollhouse.llm.recognise import UNREAD, Asked
from tollhouse.llm.signing.signer import AwsSignature, Signer, put_token
from tollhouse.llm.terms import Terms
from tollhouse.pdk import Exchange
from tollhouse.pdk.services import Services
from tollhouse.pdk.usage import Metered

#: Kong's default stands for what such requests need: sound and pictures are large
_DEFAULT_BODY_BYTES: Final = 8192
_USUAL_BODY_BYTES: Final = 32 * 1024 * 1024


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
        self._envelope = Envelope(FORMS[asked.form], FORMS[error_form], kongs=asked.form == "openai_chat")
        self._signer = self._make_signer(region)
        size = conf.max_request_body_size
        #: largest request body that is read, in bytes
        self.request_body_limit = _USUAL_BODY_BYTES if size == _DEFAULT_BODY_BYTES else size
        self._patience = conf.limits.patience
        ttl = conf.limits.idempotency_ttl
        self._firsts = Firsts(ttl, plugin_id, services.claims) if ttl else None
        answering = self._answering(model, translates=error_form != asked.form)
        self.header_filter = answering.header_filter
        self.body_filter = answering.body_filter
        self.own_answer = answering.own_answer
        self.log = answering.log

    def _answering(self, model: settings.Model, *, translates: bool) -> OperationAnswering:
        return OperationAnswering(
            self.conf,
            self.services,
            provider=self._provider,
            work=self._work,
            envelope=self._envelope,
            credentials=self._credentials,
            prices=self._price_book(model),
            translates=translates,
            firsts=self._firsts,
        )

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
        request = ex.request
        # A file that is there is read as often as somebody wants.
        if self._firsts is None or request.method != "POST" or IDEMPOTENCY_KEY not in request.headers.values:
            return self._begin(ex, asked, model)
        return self._firsts.once(ex, self._envelope, lambda first: self._begin_first(ex, asked, model, first))

    def _begin_first(
        self, ex: Exchange, asked: Asked, model: str | None, first: First
    ) -> Awaitable[None] | None:
        ex.slot(Slot).first = first
        return self._begin(ex, asked, model)

    def _begin(self, ex: Exchange, asked: Asked, model: str | None) -> Awaitable[None] | None:
        try:
            self._send(ex, asked, model)
            waiting = None if self._signer is None else self._signer.sign(ex)
        except Refusal as refusal:
            raise self._envelope.reject(refusal) from None
        slot = ex.peek(Slot)
        if slot is not None and slot.call is not None and slot.call.out.others:
            return self._ask_others(ex, slot.call, waiting)
        return None if waiting is None else self._refusing(waiting)

    async def _ask_others(self, ex: Exchange, call: OperationCall, waiting: Awaitable[None] | None) -> None:
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
        reads = stream or asked.operation not in UNREAD
        ex.slot(Slot).call = OperationCall(destination, out, body, asked.operation, metered, read=reads)
        if not files:
            request.replace_content(out.content)
        ex.wants_whole_response = not stream and asked.operation not in UNREAD
        path = destination.endpoint.path
        if files:
            path = path.rstrip("/") + asked.tail
        destination.address(ex, path, self._credentials, stream=stream)
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
        if asked.form == "openai_chat":
            self._destinations.check_model(members, destination)
        return destination


def _streams_untold(asked: Asked, body: Body) -> bool:
    """Ollama's answers are streams unless told otherwise."""
    return asked.operation == "generate" and body.members is not None and "stream" not in body.members
