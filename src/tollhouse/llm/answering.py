"""What comes back of a call: made fit for the client, metered, and told as an error where it is none.

Answers that are not streamed are taken whole, for their usage stands at the end. Of a stream nothing
reaches the client before the first piece of the answer itself, so that what fails until then is an error
with a status; what fails later ends with an error event of the client's form, never as if it were whole.
"""

from functools import partial
from typing import Any, Final

import msgspec

from tollhouse.errors import Cause, PeerError, UpstreamFault
from tollhouse.llm import bill, shown, tokens
from tollhouse.llm.call import Call
from tollhouse.llm.chat import Trouble
from tollhouse.llm.cost import PriceBook
from tollhouse.llm.destination import printable
from tollhouse.llm.dialogue import Dialogue, Forwarding, Got, Passage, Sent
from tollhouse.llm.encoding import Gunzip, gunzip
from tollhouse.llm.envelope import Envelope, Wanted
from tollhouse.llm.form import Unreadable
from tollhouse.llm.formats.openai_chat import forward
from tollhouse.llm.formats.openai_chat.forward import Kind
from tollhouse.llm.once import Firsts
from tollhouse.llm.pace import Pace
from tollhouse.llm.provider import Provider
from tollhouse.llm.terms import Terms
from tollhouse.pdk import Exchange, FieldSet, Response
from tollhouse.pdk.services import Services
from tollhouse.pdk.usage import Metered, Usage
from tollhouse.wire.headers import Headers

_JSON: Final = "application/json"
#: of a request that a provider does not understand
_REFUSALS: Final = frozenset({400, 422})
#: how ids of answers begin that the provider gave none
_ID_STARTS: Final = {"openai_chat": "chatcmpl-", "anthropic_messages": "msg_", "openai_responses": "resp_"}
#: what providers take money for
_ANSWERED: Final = 200


class Answering:
    """The way back of one model's calls."""

    def __init__(
        self,
        conf: Terms,
        services: Services,
        *,
        provider: Provider,
        kind: Kind,
        dialogue: Dialogue,
        forwarding: Forwarding,
        envelope: Envelope,
        prices: PriceBook,
        translates: bool,
        firsts: Firsts | None,
    ) -> None:
        """`translates`: errors have to be told in another form than the provider's."""
        self.conf = conf
        self.services = services
        self._drops_cookies = provider.drops_cookies
        self._kind = kind
        self._dialogue = dialogue
        self._forwarding = forwarding
        self._envelope = envelope
        self._prices = prices
        self._translates = translates
        self._firsts = firsts
        self._invents_id = provider.invents_id or conf.client_form != "openai_chat"
        self._floor = conf.limits.min_tokens_per_second
        self._shows_model, self._statistics = conf.model_name_header, conf.logging.log_statistics
        self._logs_payloads = conf.logging.log_payloads

    # The head

    def header_filter(self, ex: Exchange) -> None:
        """With a `response` phase, streams would be held back; a whole body is known here as well."""
        call, response = ex.peek(Call), ex.response
        if call is None or response is None or not response.from_upstream or call.destination is None:
            return
        destination, sent, headers = call.destination, call.sent, response.headers
        if self._drops_cookies and "set-cookie" in headers.values:
            headers.remove("set-cookie")
        if response.status != 200:
            if sent is not None:
                self._failed(ex, call, response)
            return
        told = ""
        if self._shows_model or "kong-debug" in ex.request.headers.values:
            told = destination.shown
        metered = call.metered
        if sent is not None and metered is not None:
            metered.statistics = self._statistics
            metered.latency_ms = int((ex.answered_at - ex.sent_at) * 1000)
            if sent.ignored or sent.dropped:
                _show_left_out(headers, sent)
            try:
                if "content-encoding" in headers.values:
                    self._unpack(call, response)
                kind = headers.values.get("content-type", "")
                if call.streamed or (kind != _JSON and self._dialogue.is_stream(kind)):
                    self._begin_stream(ex, call, sent, response)
                else:
                    self._answer(ex, call, sent, metered, response)
                    told += shown.usage_lines(metered)
                told += destination.who
            except (Unreadable, PeerError) as error:
                self._fail(call, response, str(error))
        elif call.observer is not None:
            call.observer.begin(headers.values)
        if told:
            ex.early_headers += (FieldSet(None, told.encode(), shown.NAMES),)

    def _failed(self, ex: Exchange, call: Call, response: Response) -> None:
        """The provider's error, readable for the client: the gateway asked for gzip, the client perhaps
        did not; and it may speak another form."""
        try:
            if "content-encoding" in response.headers.values:
                self._unpack(call, response)
        except PeerError as error:
            self._fail(call, response, str(error))
            return
        page = response.headers.values.get("content-type", "").startswith("text/html")
        if not self._translates and not page:
            return
        if response.content is not None:
            self._envelope.whole(response, response.content, self._wanted(ex, call))
        else:
            call.error = b""
            ex.holds_head = True
            self._envelope.head(response)

    def _wanted(self, ex: Exchange, call: Call) -> Wanted:
        model = "" if call.sent is None else call.sent.model
        return Wanted(model, self._invented_id(ex), call.streamed, call.own_key)

    def own_answer(self, ex: Exchange) -> None:
        """Errors of the gateway, also of other plugins, as the client's SDK reads errors."""
        if ex.response is not None and not ex.response.from_upstream:
            call = ex.peek(Call)
            if call is not None:
                call.over = True
            self._envelope.own(ex, ex.response)

    def _unpack(self, call: Call, response: Response) -> None:
        if response.headers["content-encoding"].lower() == "gzip":
            response.headers.remove("content-encoding")
            if response.content is None:
                call.unzip = Gunzip()
            else:
                response.content = gunzip(response.content)

    def _answer(self, ex: Exchange, call: Call, sent: Sent, metered: Metered, response: Response) -> None:
        now = self.services.wall_clock()
        invented_id = self._invented_id(ex) if self._invents_id else ""
        call.ended = True
        got = self._dialogue.answer(response.content or b"", sent, invented_id, int(now))
        response.content = got.content
        metered.response_model = got.model
        if got.unshown:
            metered.unshown = got.unshown
            response.headers.set("X-Tollhouse-Unshown", printable(", ".join(got.unshown)))
        self._settle(call, metered, got, now, complete=True)
        if self._logs_payloads:
            metered.payload = _payload(call, got.content.decode("utf-8", "replace"))

    def _fail(self, call: Call, response: Response, reason: str) -> None:
        """An answer that cannot be used, in Kong's words."""
        call.unusable, call.received = True, len(response.content or b"")
        kind = f"{self.conf.model.provider}://{self._kind}"
        self._envelope.unusable(response, f"transformation failed from type {kind}: {reason}")

    def _begin_stream(self, ex: Exchange, call: Call, sent: Sent, response: Response) -> None:
        if self._dialogue.stream_type is not None:
            response.headers.set("Content-Type", self._dialogue.stream_type)
        now = int(self.services.wall_clock())
        keep_text = self._logs_payloads
        passage = self._dialogue.stream(sent, self._invented_id(ex), now, keep_text=keep_text)
        call.passage = passage
        ex.holds_head = True
        ex.last_words = partial(_broken_off, call, passage)
        if self._floor is not None:
            ex.watch = Pace(self._floor, lambda: passage.written).look

    def _invented_id(self, ex: Exchange) -> str:
        return _ID_STARTS.get(self.conf.client_form, "") + ex.request_id

    # The body

    def body_filter(self, ex: Exchange, chunk: bytes, last: bool) -> bytes:
        call = ex.peek(Call)
        # An answer of the gateway's own, or one that is here whole and has been dealt with.
        if call is None or (call.ended and call.first is None) or call.over:
            return chunk
        if call.sent is None:
            return self._observed(call, chunk, last)
        passage = call.passage
        if passage is None:
            call.ended = last
            content = self._error_chunk(ex, call, chunk, last)
            if call.first is not None and self._firsts is not None:
                whole = last and ex.upstream_status == 200
                self._firsts.remember(ex, call.first, content, whole=whole)
            return content
        try:
            if call.unzip is not None:
                chunk = call.unzip.feed(chunk, last)
            content = passage.feed(chunk, last)
        except PeerError as error:
            raise UpstreamFault(Cause.BAD_RESPONSE, str(error), sent=True) from error
        if ex.holds_head:
            self._judge(ex, call, passage, last=last)
        call.ended = last
        if call.first is not None and self._firsts is not None:
            whole = last and passage.complete and passage.failed is None
            self._firsts.remember(ex, call.first, content, whole=whole)
        return content

    def _observed(self, call: Call, chunk: bytes, last: bool) -> bytes:
        if call.observer is not None:
            call.observer.feed(chunk, last=last)
        call.ended = last
        return chunk

    def _judge(self, ex: Exchange, call: Call, passage: Passage, *, last: bool) -> None:
        """Lets the head go with the first piece of the answer. Raises `Reject` if there will be none."""
        if passage.began:
            ex.holds_head = False
            if call.metered is not None:
                first = call.metered.first_token_ms = int((self.services.clock() - ex.sent_at) * 1000)
                ex.add_early_headers(FieldSet(None, shown.first_token_line(first), ()))
        elif passage.failed is not None:
            call.over = True
            raise self._envelope.failed(passage.failed)
        elif last:
            ex.holds_head = False

    def _error_chunk(self, ex: Exchange, call: Call, chunk: bytes, last: bool) -> bytes:
        """A piece of an error, or of a whole answer. Some compatible servers refuse to be asked for
        usage; they are not asked again, unless it was the client's own options that they refused."""
        if call.unzip is not None:
            chunk = call.unzip.feed(chunk, last)
        if call.error is not None:
            call.error += chunk
            return self._envelope.rest(ex, call.error, self._wanted(ex, call)) if last else b""
        refuses = call.streamed and ex.upstream_status in _REFUSALS and b"stream_options" in chunk
        if refuses and forward.asks_only_usage(call.members or {}):
            self._forwarding.ask_usage = False
        return chunk

    # The bill

    def log(self, ex: Exchange) -> None:
        """Settles a stream, however it ended, and says what became of the call."""
        call = ex.peek(Call)
        if call is None:
            return
        if call.first is not None and self._firsts is not None:
            self._firsts.drop(call.first)
        if call.settled and call.passage is None:
            return  # an answer that came whole: all of it was told with its head
        self.settle(ex, call, sent=bool(ex.sent_at) and ex.response is None)

    def settle(self, ex: Exchange, call: Call, *, sent: bool = False) -> None:
        """Puts down what the call used so far, if that has not been told. A provider that began to answer
        has read the prompt, and so has one whose answer nobody waited for, once the call was `sent`."""
        if call.metered is None:
            return
        passage, metered = call.passage, call.metered
        if passage is not None:
            metered.response_model = passage.model
            metered.malformed_events, metered.unshown = passage.malformed, passage.unshown
            self._settle(call, metered, passage, self.services.wall_clock(), complete=passage.complete)
            if self._logs_payloads:
                metered.payload = _payload(call, passage.text)
        elif not call.settled and (sent or ex.upstream_status == _ANSWERED):
            metered.statistics = self._statistics
            if call.observer is not None:
                call.settled = True
                now = self.services.wall_clock()
                call.observer.settle(metered, self._prices, ex.request.received, now)
            else:
                got = Got(b"", "", None, written=call.received)
                self._settle(call, metered, got, self.services.wall_clock(), complete=False)
        metered.error = bill.error_of(ex, None if passage is None else passage.failed, ended=call.ended)

    def _settle(
        self, call: Call, metered: Metered, learned: Got | Passage, now: float, *, complete: bool
    ) -> None:
        """What the call used and cost: by the model that answered, or by the one asked for where the
        other has no price. Of an answer that is not complete, what was delivered counts."""
        usage, call.settled = learned.usage, True
        if usage is None:
            passage = call.passage
            did_nothing = passage is not None and not learned.written and bill.is_refused(passage.failed)
            prompt = 0 if did_nothing and not complete else tokens.prompt_in(call.members or {})
            usage = Usage(prompt, tokens.completion_tokens(learned.written), estimated=True)
        elif not complete:
            bill.count_delivered(usage, learned.written)
        usage.fit()
        metered.usage = usage
        book = self._prices
        row = book.only or book.row_between(
            learned.model, metered.model, usage.prompt_tokens, now, learned.service_tier
        )
        if row is not None:
            metered.cost_nano_usd, metered.price = row.rates.nano_usd(usage), row.shown


def _show_left_out(headers: Headers, sent: Sent) -> None:
    if sent.ignored:
        headers.set("X-Tollhouse-Ignored-Fields", printable(", ".join(sent.ignored)))
    if sent.dropped:
        headers.set("X-Tollhouse-Dropped", printable(", ".join(sent.dropped)))


def _broken_off(call: Call, passage: Passage, fault: UpstreamFault) -> bytes:
    """What a client is told when the provider breaks off within the answer."""
    call.over = True
    trouble: Trouble = "timeout" if fault.status == 504 else "upstream_error"
    return passage.fail(f"the provider's answer broke off: {fault.detail}", trouble)


def _payload(call: Call, response: str) -> dict[str, Any]:
    """Kong's words for what was sent and what came; the request without the client's line breaks."""
    request = msgspec.json.format(call.request, indent=-1)
    return {"request": request.decode("utf-8", "replace"), "response": response}
