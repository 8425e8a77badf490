"""A model as an upstream: takes an exchange there and brings its answer back, as one plugin's settings say.

Where client and provider speak the same form, bodies are passed on with the fewest edits; else they are
translated. The way back is in `answering`. What a call used is left in `Metered` for metrics, logs and
limits, also when the client hung up before the end.
"""

from collections.abc import Awaitable
from functools import partial
from typing import Final

import msgspec

from tollhouse.llm import listing, settings
from tollhouse.llm.answering import Answering
from tollhouse.llm.call import Call
from tollhouse.llm.completing import Completing
from tollhouse.llm.cost import PriceBook
from tollhouse.llm.credentials import Credentials
from tollhouse.llm.destination import Destination, Destinations
from tollhouse.llm.dialogue import FORMS, TEXT_FORMS, Dialogue, Forwarding, Sent
from tollhouse.llm.endpoint import only_chats, served, text_form
from tollhouse.llm.envelope import Envelope
from tollhouse.llm.fixed import Fixed
from tollhouse.llm.foreign import PREFIXES, heed
from tollhouse.llm.form import MALFORMED, NOTHING_TOLD, Refusal, Told
from tollhouse.llm.formats.openai_chat import forward
from tollhouse.llm.formats.openai_chat.forward import CHAT, COMPLETIONS, Kind, Members
from tollhouse.llm.observing import Observer
from tollhouse.llm.on_vertex import OnVertex
from tollhouse.llm.once import IDEMPOTENCY_KEY, First, Firsts
from tollhouse.llm.overrides import Overrides
from tollhouse.llm.passing import Passing
from tollhouse.llm.pictures import WITHOUT_URLS, Pictures
from tollhouse.llm.provider import FormName, Provider, TextForm
from tollhouse.llm.recognise import recognised
from tollhouse.llm.signing.signer import AwsSignature, Signer, put_token
from tollhouse.llm.terms import Terms
from tollhouse.llm.translation import Translation
from tollhouse.pdk import Exchange, Reject, Request
from tollhouse.pdk.services import Services
from tollhouse.pdk.usage import NOTHING_USED, Metered

_JSON: Final = "application/json"
_FORM: Final = "multipart/form-data"
#: Kong's default is smaller than one ordinary tool schema, and Kong reads every body that fits nginx's
#: buffer all the same. Whoever has the default gets room; whoever sets another size gets that buffer.
_DEFAULT_BODY_BYTES: Final = 8192
_USUAL_BODY_BYTES: Final = 1024 * 1024
#: forms that tell the model in the path
_IN_PATH: Final = frozenset({"gemini", "bedrock_converse"})
#: forms whose clients may leave the model to the gateway, and so may not ask for another one
_MAY_NOT_NAME: Final = frozenset({"openai_chat", "openai_responses"})


class _Named(msgspec.Struct):
    model: str = ""


def _body_limit(size: int) -> int:
    """So many bytes of a request are read."""
    return _USUAL_BODY_BYTES if size == _DEFAULT_BODY_BYTES else max(size, _DEFAULT_BODY_BYTES)


def _named_in(request: Request) -> Members:
    """The model that a body of whatever kind tells, empty if it tells none."""
    try:
        found = msgspec.json.decode(request.content or b"", type=_Named)
    except MALFORMED:
        found = _Named()
    return {"model": msgspec.Raw(msgspec.json.encode(found.model))}


class UpstreamModel:
    """One model, or all of a provider's. Its methods are the phases of the plugin that calls it."""

    def __init__(self, conf: Terms, services: Services, plugin_id: str, firsts: Firsts | None = None) -> None:
        """`firsts` are the calls that retries may want the answers of, if several models share them."""
        self.conf = conf
        self.services = services
        self._plugin_id, self._provider_name = plugin_id, conf.model.provider
        self._options = conf.model.options or settings.Options()
        self._provider, self._form = self._served()
        self._text_form, self._by_chat = self._completed_by()
        self._client_form = conf.client_form
        self._is_openai = conf.client_form == "openai_chat" and not self._by_chat
        # Kong refuses another model than the configured one. Where it must be named in every request, as it
        # was before there was a gateway, the configured one takes its place.
        self._keeps_to_model = conf.client_form in _MAY_NOT_NAME
        self._kind: Kind = COMPLETIONS if conf.route_type == COMPLETIONS else CHAT
        self._forwarding = Forwarding(self._kind, ask_usage=self._provider.asks_usage)
        self._dialogue = self._make_dialogue()
        kongs = conf.client_form == "openai_chat"
        self._envelope = Envelope(FORMS[conf.client_form], FORMS[self._form], kongs=kongs)
        self._prepare_way_there()
        self._pictures = self._make_pictures()
        self._patience = conf.limits.patience
        self._passes_on = conf.route_type == "preserve"
        self._may_stream = conf.response_streaming == "allow"
        self._logs_payloads = conf.logging.log_payloads
        self._body_limit = _body_limit(conf.max_request_body_size)
        # What is passed on tells its model in the body, if nobody else does.
        needs_body = not self._passes_on or self._credentials.in_body or conf.model.name is None
        #: largest request body that is read, in bytes; `None` if none is
        self.request_body_limit = self._body_limit if needs_body else None
        ttl = conf.limits.idempotency_ttl
        # What is passed on untouched is not read, and nobody knows whether it is the same again.
        keeps = ttl > 0 and not self._passes_on
        self._firsts = (firsts or Firsts(ttl, plugin_id, services.claims)) if keeps else None
        self._answering = answering = self._make_answering()
        self.header_filter = answering.header_filter
        self.body_filter = answering.body_filter
        self.own_answer = answering.own_answer
        self.log = self._log_without_key if self._credentials.in_query else answering.log

    def _served(self) -> tuple[Provider, FormName]:
        conf, options = self.conf, self._options
        return served(
            conf.model.provider,
            route_type=conf.route_type,
            server_format=settings.server_format(conf.model.provider, options),
            upstream_url=options.upstream_url,
            deployed=options.azure_instance is not None,
            client=conf.client_form,
            vertex_model=conf.model.name if options.gemini is not None else None,
        )

    def _completed_by(self) -> tuple[TextForm | None, bool]:
        """In which form a server goes on with a text, and whether completions take the way of chats: of who
        only chats, and of such servers."""
        conf, url = self.conf, self._options.upstream_url
        form = text_form(
            conf.model.provider,
            route_type=conf.route_type,
            server_format=settings.server_format(conf.model.provider, self._options),
            upstream_url=url,
        )
        by_chat = form is not None or only_chats(self._provider, self._form, url)
        return form, by_chat and conf.route_type == COMPLETIONS

    def _make_dialogue(self) -> Dialogue:
        client, form, options = self._client_form, self._form, self._options
        if form == client == "openai_chat" and not self._by_chat and self._text_form is None:
            return self._forwarding
        dialogue: Dialogue
        drops = self.conf.drop_unsupported
        spoken = FORMS[form] if self._text_form is None else TEXT_FORMS[self._text_form]
        compatible = spoken is FORMS["openai_chat"]
        if self._by_chat:
            dialect = self._provider if compatible else None
            dialogue = Completing(spoken, dialect, Fixed(client, options), drops=drops)
        elif form == client and self._text_form is None:
            dialogue = Passing(FORMS[form], Fixed(form, options), model_in_path=form in _IN_PATH)
        else:
            # What a client of OpenAI's form sends has had the operator's options put in before.
            own = None if self._is_openai else options
            dialogue = Translation(
                FORMS[client], spoken, self._provider, own, compatible=compatible, drops=drops
            )
        on_vertex = form == "anthropic_messages" and self._provider.name == "gemini"
        return OnVertex(dialogue) if on_vertex else dialogue

    def _prepare_way_there(self) -> None:
        """What puts address, options and key on a request."""
        conf, provider, form, options = self.conf, self._provider, self._form, self._options
        cloud, local = self.services.cloud, self.services.node.local_model
        self._region = cloud.aws_region(options.bedrock.aws_region if options.bedrock else None)
        route_type = CHAT if self._by_chat and self._text_form is None else conf.route_type
        self._destinations = Destinations(conf.model, provider, form, route_type, local, self._region)
        self._overrides = Overrides(options, provider, native=form == "openai_chat")
        needed = settings.needed_headers(provider.headers, options) if form == provider.form else ()
        if provider.name == "huggingface":
            needed += settings.told_headers(options)
        self._credentials = Credentials(conf.auth, provider, needed)
        self._signer = self._make_signer()
        self._own_path = conf.route_type == "preserve" and options.upstream_path is None

    def _make_pictures(self) -> Pictures | None:
        """What fetches pictures for a provider that does not fetch them itself."""
        limits, is_translated = self.conf.limits, self._form != self._client_form
        fetches = self._form in WITHOUT_URLS and is_translated and limits.picture_size > 0
        return Pictures(self.services.http, limits) if fetches else None

    def _make_answering(self) -> Answering:
        conf, options = self.conf, self._options
        prices = PriceBook(self._provider, options.input_cost, options.output_cost, conf.prices)
        # The catalogue of prices takes long to load: now, not when the first answer waits for it.
        prices.row(conf.model.name or "", 0, self.services.wall_clock())
        return Answering(
            conf,
            self.services,
            provider=self._provider,
            kind=self._kind,
            dialogue=self._dialogue,
            forwarding=self._forwarding,
            envelope=self._envelope,
            prices=prices,
            translates=self._form != conf.client_form,
            firsts=self._firsts,
        )

    def _make_signer(self) -> Signer | None:
        """What proves to a cloud who asks, where the settings name no key."""
        auth, cloud = self.conf.auth or settings.Auth(), self.services.cloud
        if auth.gcp_use_service_account:
            return Signer(cloud.google(auth.gcp_service_account_json), put_token)
        if self._provider.signs is None or auth.header_name is not None:
            return None
        source = cloud.aws(self._region, auth.aws_access_key_id, auth.aws_secret_access_key)
        signature = AwsSignature(self._region, self._provider.signs, self.services.wall_clock)
        return Signer(source, signature.put)

    # Towards the provider

    def access(self, ex: Exchange) -> Awaitable[None] | None:
        if self._firsts is not None and IDEMPOTENCY_KEY in ex.request.headers.values:
            return self._firsts.once(ex, self._envelope, partial(self._begin_first, ex))
        return self._begin(ex)

    def _begin_first(self, ex: Exchange, first: First) -> Awaitable[None] | None:
        ex.slot(Call).first = first
        return self._begin(ex)

    def _begin(self, ex: Exchange) -> Awaitable[None] | None:
        if self._pictures is None:
            return self._direct(ex)
        fetching = self._pictures.put_in(ex)
        return self._direct(ex) if fetching is None else self._direct_after(fetching, ex)

    async def _direct_after(self, fetching: Awaitable[None], ex: Exchange) -> None:
        await self._refusing(fetching)
        waiting = self._direct(ex)
        if waiting is not None:
            await waiting

    def _direct(self, ex: Exchange) -> Awaitable[None] | None:
        try:
            self._send(ex)
            waiting = None if self._signer is None else self._signer.sign(ex)
        except Refusal as refusal:
            raise self._listed(ex.request) or self._envelope.reject(refusal) from None
        return None if waiting is None else self._refusing(waiting)

    async def _refusing(self, waiting: Awaitable[None]) -> None:
        try:
            await waiting
        except Refusal as refusal:
            raise self._envelope.reject(refusal) from None

    async def direct_own(self, ex: Exchange) -> None:
        """Directs an exchange that the gateway made up itself. Raises `Refusal`, in no client's envelope."""
        self._send(ex)
        waiting = None if self._signer is None else self._signer.sign(ex)
        if waiting is not None:
            await waiting

    def _send(self, ex: Exchange) -> None:
        request = ex.request
        headers, content = request.headers, request.content
        if self._passes_on or (headers.values.get("content-type", _JSON) != _JSON and self._is_form(request)):
            self._pass_on(ex)
            return
        if content is None or len(content) > self._body_limit:
            raise self._unread(request)
        members = forward.members_of(content)
        told = NOTHING_TOLD
        if self._is_openai:
            forward.check_kind(members, self._kind)
        else:
            told = self._told(request.path, members)
        destinations = self._destinations
        destination = destinations.only or destinations.of(ex, members)
        asked = members.get("model")
        if asked is not None and asked != destination.model_json and self._keeps_to_model:
            destinations.check_model(members, destination)
        streamed = members.get("stream") == forward.TRUE
        if not self._may_stream:
            streamed = self._forced(asked=streamed)
        if self._is_openai:
            self._overrides.apply(members, destination.model, destination.model_json, stream=streamed)
        elif told is not NOTHING_TOLD:
            told = Told(destination.model, streamed)
            del members["model"], members["stream"]
        credentials = self._credentials
        if credentials.in_body:
            credentials.put_in_body(members)
        sent = self._dialogue.request(members, told, model=destination.model, stream=streamed)
        ex.wants_whole_response = not streamed
        ex.patience = self._patience
        self._note(ex, destination, sent, members, streamed)
        request.replace_content(sent.content)
        destination.address(ex, destination.endpoint.path, credentials, stream=streamed)
        if credentials.put_in_headers(headers, answer_is_read=True):
            ex.slot(Call).own_key = True

    def _is_form(self, request: Request) -> bool:
        """Whether a body that is not plainly JSON is a form with files. Raises `Refusal` if it is neither."""
        media_type = request.media_type
        if media_type not in (_JSON, _FORM):
            raise self._unread(request)
        return media_type == _FORM

    def _listed(self, request: Request) -> Reject | None:
        """The one model that there is, for who asks which there are; `None` for any other request."""
        name, asked = self.conf.model.name, recognised(request.path)
        if (
            name is None
            or "$(" in name
            or request.method != "GET"
            or asked is None
            or asked.operation != "models"
        ):
            return None
        form = listing.asking_form(asked.form, request.headers.values)
        entry = listing.Entry(name, self.conf.model.provider)
        if asked.model in ("", name):
            body = listing.one(form, entry) if asked.model else listing.all_of(form, [entry])
            return Reject(200, body=body, exact=True)
        return self._envelope.reject(Refusal(f"the model '{asked.model}' does not exist", 404))

    def _unread(self, request: Request) -> Refusal:
        """Why there is nothing to send: in Kong's words for clients of OpenAI's chats."""
        length, limit = request.content_length, self._body_limit
        too_large = request.content is None if length is None else length > limit
        if self._is_openai or not too_large:
            return Refusal(forward.NO_PROMPTS)
        return Refusal(f"the request body is larger than {limit} bytes", 413)

    def _note(
        self, ex: Exchange, destination: Destination, sent: Sent, members: Members, streamed: bool
    ) -> None:
        """What the way back and the bill must know of the call."""
        metered = Metered(self._provider_name, destination.model, self._plugin_id, streamed, NOTHING_USED)
        begun = ex.peek(Call)
        first = None if begun is None else begun.first
        call = Call(destination, sent, streamed, members, metered, first)
        if self._logs_payloads:
            call.request = self._credentials.hidden_in_body(sent.content)
        ex.put(call)
        ex.put(metered)
        # A request that is sent again has none of these any more, but has been heard.
        if ex.failover is not None or ex.request.headers.beginning(PREFIXES):
            heed(ex, metered, streamed=streamed)

    def _told(self, path: str, members: Members) -> Told:
        """What the path says, put among the members for those who look there for model and stream."""
        if self._client_form not in _IN_PATH:
            if self._client_form == "ollama_chat":
                members.setdefault("stream", forward.TRUE)
            return NOTHING_TOLD
        asked = recognised(path)
        told = asked.told if asked is not None else Told()
        members["stream"] = forward.TRUE if told.stream else forward.FALSE
        members["model"] = msgspec.Raw(msgspec.json.encode(told.model or None))
        return told

    def _forced(self, *, asked: bool) -> bool:
        if asked and self.conf.response_streaming == "deny":
            raise Refusal("response streaming is not enabled for this LLM")
        return self.conf.response_streaming == "always"

    def _pass_on(self, ex: Exchange) -> None:
        """Sends the body as it is: a form with files, or whatever `preserve` is for."""
        request = ex.request
        named = _named_in(request) if self._passes_on else None
        destination = self._destinations.of(ex, named)
        ex.patience = self._patience
        if self._credentials.in_body and request.content and request.media_type == _JSON:
            members = forward.members_of(request.content)
            self._credentials.put_in_body(members)
            request.replace_content(forward.body_of(members))
        path = request.path if self._own_path else destination.endpoint.path
        metered = Metered(self._provider_name, destination.model, self._plugin_id, usage=NOTHING_USED)
        call = ex.slot(Call)
        call.destination, call.metered = destination, metered
        call.observer = Observer(path, self._form, destination.model)
        ex.put(metered)
        heed(ex, metered, streamed=False)
        destination.address(ex, path, self._credentials)
        self._credentials.put_in_headers(request.headers, answer_is_read=False)

    def give_up(self, ex: Exchange, call: Call) -> None:
        """Settles a call that another target is asked in place of; its answer has not been used."""
        call.over = True
        self._answering.settle(ex, call)

    def _log_without_key(self, ex: Exchange) -> None:
        """Log records show where a request went; the key that was put there is not for them."""
        if ex.upstream_target is not None:
            ex.upstream_target = self._credentials.hidden(ex.upstream_target)
        self._answering.log(ex)
