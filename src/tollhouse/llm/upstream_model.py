"""A model as an upstream: takes an exchange there and brings its answer back, as one plugin's settings say.

Clients speak OpenAI's form. Where the provider does too, bodies are passed on with the fewest edits;
else they are translated. Answers that are not streamed are taken whole, for their usage stands at the
end; streams pass as they come. What a call used is left in `Metered` for metrics, logs and limits, also
when the client hung up before the end.
"""

from collections.abc import Awaitable
from typing import Any, Final

import msgspec

from tollhouse.errors import PeerError
from tollhouse.llm import settings, shown, tokens
from tollhouse.llm.cost import PriceBook
from tollhouse.llm.credentials import Credentials
from tollhouse.llm.destination import Destination, Destinations, printable
from tollhouse.llm.dialogue import FORMS, Dialogue, Forwarding, Got, Passage, Sent
from tollhouse.llm.encoding import Gunzip, gunzip
from tollhouse.llm.endpoint import served
from tollhouse.llm.envelope import Envelope
from tollhouse.llm.fixed import Fixed
from tollhouse.llm.form import NOTHING_TOLD, Refusal, Told, Unreadable
from tollhouse.llm.formats.openai_chat import forward
from tollhouse.llm.formats.openai_chat.forward import CHAT, COMPLETIONS, Kind, Members
from tollhouse.llm.overrides import Overrides
from tollhouse.llm.passing import Passing
from tollhouse.llm.provider import FormName
from tollhouse.llm.recognise import recognised
from tollhouse.llm.signing.signer import AwsSignature, Signer, put_token
from tollhouse.llm.terms import Terms
from tollhouse.llm.translation import Translation
from tollhouse.pdk import Exchange, FieldSet, Response
from tollhouse.pdk.services import Services
from tollhouse.pdk.usage import Metered, Usage

_JSON: Final = "application/json"
#: of a request that a provider does not understand
_REFUSALS: Final = frozenset({400, 422})
#: Kong's default is smaller than one ordinary tool schema, and Kong reads every body that fits nginx's
#: buffer all the same. Whoever has the default gets room; whoever sets another size gets that buffer.
_DEFAULT_BODY_BYTES: Final = 8192
_USUAL_BODY_BYTES: Final = 1024 * 1024


#: how ids of answers begin that the provider gave none
_ID_STARTS: Final = {"openai_chat": "chatcmpl-", "anthropic_messages": "msg_", "openai_responses": "resp_"}
#: forms that tell the model in the path
_IN_PATH: Final = frozenset({"gemini", "bedrock_converse"})


class _Call(msgspec.Struct):
    """An exchange that goes to a model."""

    destination: Destination | None = None
    #: `None` if the body is passed on untouched, and its answer as well
    sent: Sent | None = None
    streamed: bool = False
    members: Members | None = None
    #: the client's body, kept if log records shall have it
    request: bytes = b""
    metered: Metered | None = None
    passage: Passage | None = None
    unzip: Gunzip | None = None
    #: the stream could not be read on
    broken: bool = False
    #: what has come of an error that the client gets in another form
    error: bytes | None = None


class UpstreamModel:
    """One model, or all of a provider's. Its methods are the phases of the plugin that calls it."""

    def __init__(self, conf: Terms, services: Services, plugin_id: str) -> None:
        self.conf = conf
        self.services = services
        self._plugin_id = plugin_id
        options = conf.model.options or settings.Options()
        self._provider, form = served(
            conf.model.provider,
            route_type=conf.route_type,
            server_format=settings.server_format(conf.model.provider, options),
            upstream_url=options.upstream_url,
            deployed=options.azure_instance is not None,
            client=conf.client_form,
        )
        local = self.services.node.local_model
        self._region = services.cloud.aws_region(options.bedrock.aws_region if options.bedrock else None)
        self._destinations = Destinations(
            conf.model, self._provider, form, conf.route_type, local, self._region
        )
        self._overrides = Overrides(options, self._provider, native=form == "openai_chat")
        needed = settings.needed_headers(self._provider.headers, options)
        self._credentials = Credentials(
            conf.auth, self._provider, needed if form == self._provider.form else ()
        )
        self._kind: Kind = COMPLETIONS if conf.route_type == COMPLETIONS else CHAT
        self._forwarding = Forwarding(self._kind, ask_usage=self._provider.asks_usage)
        self._client_form = conf.client_form
        self._is_openai = conf.client_form == "openai_chat"
        self._dialogue = self._dialogue_with(form, options)
        #: whether errors have to be told in another form than the provider's
        self._translates = form != conf.client_form
        self._envelope = Envelope(FORMS[conf.client_form], FORMS[form], kongs=self._is_openai)
        self._signer = self._make_signer()
        self._own_path = conf.route_type == "preserve" and options.upstream_path is None
        size = conf.max_request_body_size
        self._body_limit = (
            _USUAL_BODY_BYTES if size == _DEFAULT_BODY_BYTES else max(size, _DEFAULT_BODY_BYTES)
        )
        needs_body = conf.route_type != "preserve" or self._credentials.in_body
        #: largest request body that is read, in bytes; `None` if none is
        self.request_body_limit = self._body_limit if needs_body else None
        self._prices = PriceBook(self._provider, options.input_cost, options.output_cost)
        # The catalogue of prices takes long to load: now, not when the first answer waits for it.
        self._prices.nano_usd(conf.model.name or "", Usage(), self.services.wall_clock())

    def _dialogue_with(self, form: FormName, options: settings.Options) -> Dialogue:
        client = self._client_form
        if form == client == "openai_chat":
            return self._forwarding
        if form == client:
            return Passing(FORMS[form], Fixed(form, options), model_in_path=form in _IN_PATH)
        # What a client of OpenAI's form sends has had the operator's options put in before.
        own = None if self._is_openai else options
        compatible = form == "openai_chat"
        return Translation(FORMS[client], FORMS[form], self._provider, own, compatible=compatible)

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
        try:
            self._send(ex)
            waiting = None if self._signer is None else self._signer.sign(ex)
        except Refusal as refusal:
            raise self._envelope.reject(refusal) from None
        return None if waiting is None else self._refusing(waiting)

    async def _refusing(self, waiting: Awaitable[None]) -> None:
        try:
            await waiting
        except Refusal as refusal:
            raise self._envelope.reject(refusal) from None

    def _send(self, ex: Exchange) -> None:
        request = ex.request
        headers, content = request.headers, request.content
        media_type = headers.values.get("content-type", _JSON)
        if media_type != _JSON:
            media_type = request.media_type
        if self.conf.route_type == "preserve" or media_type == "multipart/form-data":
            self._pass_on(ex)
            return
        if media_type != _JSON or content is None or len(content) > self._body_limit:
            raise Refusal(forward.NO_PROMPTS)
        members = forward.members_of(content)
        told = NOTHING_TOLD
        if self._is_openai:
            forward.check_kind(members, self._kind)
        else:
            told = self._told(request.path, members)
        destination = self._destinations.of(ex, members)
        self._destinations.check_model(members, destination)
        streamed = forward.is_true(members.get("stream"))
        if self.conf.response_streaming != "allow":
            streamed = self._forced(asked=streamed)
        if self._is_openai:
            self._overrides.apply(members, destination.model, destination.model_json, stream=streamed)
        elif told is not NOTHING_TOLD:
            told = Told(destination.model, streamed)
            del members["model"], members["stream"]
        self._credentials.put_in_body(members)
        sent = self._dialogue.request(members, told, model=destination.model, stream=streamed)
        call = ex.slot(_Call)
        call.destination, call.sent, call.streamed, call.members = destination, sent, streamed, members
        if self.conf.logging.log_payloads:
            call.request = content
        request.replace_content(sent.content)
        ex.wants_whole_response = not streamed
        destination.address(ex, destination.endpoint.path, self._credentials, stream=streamed)
        self._credentials.put_in_headers(headers, answer_is_read=True)

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
        destination = ex.slot(_Call).destination = self._destinations.of(ex, None)
        if self._credentials.in_body and request.content and request.media_type == _JSON:
            members = forward.members_of(request.content)
            self._credentials.put_in_body(members)
            request.replace_content(forward.body_of(members))
        path = request.path if self._own_path else destination.endpoint.path
        destination.address(ex, path, self._credentials)
        self._credentials.put_in_headers(request.headers, answer_is_read=False)

    # Towards the client

    def header_filter(self, ex: Exchange) -> None:
        """With a `response` phase, streams would be held back; a whole body is known here as well."""
        call, response = ex.peek(_Call), ex.response
        if call is None or response is None or not response.from_upstream or call.destination is None:
            return
        headers = response.headers
        if self._provider.drops_cookies:
            headers.remove("set-cookie")
        if response.status != 200:
            if call.sent is not None:
                self._failed(call, response)
            return
        told = b""
        if self.conf.model_name_header or "kong-debug" in ex.request.headers:
            told = call.destination.shown.data
        if call.sent is not None:
            metered = call.metered = ex.slot(Metered)
            metered.plugin_id = self._plugin_id
            metered.provider = self.conf.model.provider
            metered.model = call.destination.model
            metered.statistics = self.conf.logging.log_statistics
            metered.latency_ms = int((ex.answered_at - ex.sent_at) * 1000)
            if call.sent.ignored:
                headers.set("X-Tollhouse-Ignored-Fields", printable(", ".join(call.sent.ignored)))
            try:
                if "content-encoding" in headers.values:
                    self._unpack(call, response)
                if call.streamed or self._dialogue.is_stream(headers.values.get("content-type", "")):
                    self._begin_stream(ex, call, call.sent, response)
                else:
                    self._answer(ex, call, metered, response)
                    told += shown.usage_lines(metered)
            except (Unreadable, PeerError) as error:
                self._fail(response, str(error))
        if told:
            ex.add_early_headers(FieldSet(None, told, shown.NAMES))

    def _failed(self, call: _Call, response: Response) -> None:
        """The provider's error, readable for the client: the gateway asked for gzip, the client perhaps
        did not; and it may speak another form."""
        try:
            if "content-encoding" in response.headers.values:
                self._unpack(call, response)
        except PeerError as error:
            self._fail(response, str(error))
            return
        if not self._translates:
            return
        if response.content is not None:
            self._envelope.whole(response, response.content)
        else:
            call.error = b""
            self._envelope.head(response)

    def own_answer(self, ex: Exchange) -> None:
        """Errors of the gateway, also of other plugins, as the client's SDK reads errors."""
        if ex.response is not None and not ex.response.from_upstream:
            self._envelope.own(ex.response)

    def _unpack(self, call: _Call, response: Response) -> None:
        if response.headers["content-encoding"].lower() == "gzip":
            response.headers.remove("content-encoding")
            if response.content is None:
                call.unzip = Gunzip()
            else:
                response.content = gunzip(response.content)

    def _answer(self, ex: Exchange, call: _Call, metered: Metered, response: Response) -> None:
        now = self.services.wall_clock()
        invented_id = self._invented_id(ex) if self._provider.invents_id or not self._is_openai else ""
        got = self._dialogue.answer(response.content or b"", invented_id, int(now), metered.model)
        response.content = got.content
        metered.response_model = got.model
        self._settle(call, metered, got, now)
        if self.conf.logging.log_payloads:
            metered.payload = _payload(call, got.content.decode("utf-8", "replace"))

    def _fail(self, response: Response, reason: str) -> None:
        """An answer that cannot be used, in Kong's words."""
        kind = f"{self.conf.model.provider}://{self._kind}"
        self._envelope.unusable(response, f"transformation failed from type {kind}: {reason}")

    def _begin_stream(self, ex: Exchange, call: _Call, sent: Sent, response: Response) -> None:
        if self._dialogue.stream_type is not None:
            response.headers.set("Content-Type", self._dialogue.stream_type)
        now = int(self.services.wall_clock())
        keep_text = self.conf.logging.log_payloads
        call.passage = self._dialogue.stream(sent, self._invented_id(ex), now, keep_text=keep_text)

    def _invented_id(self, ex: Exchange) -> str:
        return _ID_STARTS.get(self._client_form, "") + ex.request_id

    def body_filter(self, ex: Exchange, chunk: bytes, last: bool) -> bytes:
        call = ex.peek(_Call)
        if call is None or call.sent is None:
            return chunk
        passage = call.passage
        if passage is None:
            return self._error_chunk(ex, call, chunk, last)
        if call.broken:
            return b""
        try:
            if call.unzip is not None:
                chunk = call.unzip.feed(chunk, last)
            content = passage.feed(chunk, last)
        except PeerError as error:
            call.broken = True
            return passage.fail(str(error))
        metered = call.metered
        if metered is not None and metered.first_token_ms is None and passage.written:
            metered.first_token_ms = int((self.services.clock() - ex.sent_at) * 1000)
        return content

    def _error_chunk(self, ex: Exchange, call: _Call, chunk: bytes, last: bool) -> bytes:
        """A piece of an error, or of a whole answer. Some compatible servers refuse to be asked for
        usage; they are not asked again, unless it was the client's own options that they refused."""
        if call.unzip is not None:
            chunk = call.unzip.feed(chunk, last)
        if call.error is not None:
            call.error += chunk
            return self._envelope.body(ex.upstream_status, call.error) if last else b""
        refuses = call.streamed and ex.upstream_status in _REFUSALS and b"stream_options" in chunk
        if refuses and forward.asks_only_usage(call.members or {}):
            self._forwarding.ask_usage = False
        return chunk

    def log(self, ex: Exchange) -> None:
        """Settles a stream, however it ended."""
        call = ex.peek(_Call)
        if self._credentials.in_query and ex.upstream_target is not None:
            # Log records show where a request went; the key that was put there is not for them.
            ex.upstream_target = self._credentials.hidden(ex.upstream_target)
        if call is None or call.passage is None or call.metered is None:
            return
        passage, metered = call.passage, call.metered
        metered.response_model = passage.model
        self._settle(call, metered, passage, self.services.wall_clock())
        if self.conf.logging.log_payloads:
            metered.payload = _payload(call, passage.text)

    def _settle(self, call: _Call, metered: Metered, learned: Got | Passage, now: float) -> None:
        """What the call used and cost: by the model that answered, or by the one asked for where the
        other has no price."""
        usage = learned.usage
        if usage is None:
            prompt = tokens.prompt_tokens(forward.prompts(call.members or {}))
            usage = Usage(prompt, tokens.completion_tokens(learned.written), estimated=True)
        metered.usage = usage
        price, tier = self._prices.nano_usd, learned.service_tier
        metered.cost_nano_usd = price(learned.model or metered.model, usage, now, tier)
        if metered.cost_nano_usd is None and learned.model:
            metered.cost_nano_usd = price(metered.model, usage, now, tier)


def _payload(call: _Call, response: str) -> dict[str, Any]:
    return {"request": call.request.decode("utf-8", "replace"), "response": response}
