"""What comes back of a provider's operation: made fit for the client, metered, and told as an error where it
is none. Whatever comes back is counted: where a provider tells no usage it is estimated and marked so, and
what has no price by tokens (pictures, sound) has a cost that is unknown rather than none.
"""

from functools import partial
from typing import Final

import msgspec

from tollhouse.errors import Cause, PeerError, UpstreamFault
from tollhouse.llm import bill, shown, tokens
from tollhouse.llm.chat import Trouble
from tollhouse.llm.cost import PriceBook
from tollhouse.llm.credentials import Credentials
from tollhouse.llm.destination import printable
from tollhouse.llm.dialogue import Got, Reader
from tollhouse.llm.encoding import Gunzip, gunzip
from tollhouse.llm.envelope import Envelope
from tollhouse.llm.form import Refusal, Unreadable
from tollhouse.llm.formats.openai_chat.forward import text_of
from tollhouse.llm.once import Firsts
from tollhouse.llm.operations.call import OperationCall, Slot
from tollhouse.llm.operations.several import used_by_others
from tollhouse.llm.operations.streams import Collected
from tollhouse.llm.operations.work import Work
from tollhouse.llm.pace import Pace
from tollhouse.llm.provider import Provider
from tollhouse.llm.recognise import Operation
from tollhouse.llm.terms import Terms
from tollhouse.pdk import Exchange, FieldSet, Response
from tollhouse.pdk.services import Services
from tollhouse.pdk.usage import Metered, Usage

#: operations whose streams are text, and as slow as that is written
_WRITTEN: Final[frozenset[Operation]] = frozenset({"completions", "generate", "invoke", "transcriptions"})
_JSON: Final = "application/json"
_COUNTING: Final[Operation] = "count_tokens"


class OperationAnswering:
    """The way back of one operation's calls."""

    def __init__(
        self,
        conf: Terms,
        services: Services,
        *,
        provider: Provider,
        work: Work,
        envelope: Envelope,
        credentials: Credentials,
        prices: PriceBook,
        translates: bool,
        firsts: Firsts | None,
    ) -> None:
        """`translates`: errors have to be told in another form than the provider's."""
        self.conf = conf
        self.services = services
        self._provider = provider
        self._work = work
        self._envelope = envelope
        self._credentials = credentials
        self._prices = prices
        self._translates = translates
        self._firsts = firsts
        self._floor = conf.limits.min_tokens_per_second

    def header_filter(self, ex: Exchange) -> None:
        slot, response = ex.peek(Slot), ex.response
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
            if call.answered:  # it has been paid for all the same
                self._settle(call, Got(b"", "", None, written=len(response.content or b"")))
            self._fail(response, str(error))

    def _succeeded(self, ex: Exchange, call: OperationCall, response: Response) -> None:
        metered, headers = call.metered, response.headers
        call.answered = True
        metered.statistics = self.conf.logging.log_statistics
        metered.latency_ms = int((ex.answered_at - ex.sent_at) * 1000)
        told = call.destination.shown if self.conf.model_name_header and metered.model else ""
        if call.out.ignored:
            headers.set("X-Tollhouse-Ignored-Fields", printable(", ".join(call.out.ignored)))
        if call.out.dropped:
            headers.set("X-Tollhouse-Dropped", printable(", ".join(call.out.dropped)))
        # A stream that was there at once is a whole body, and passes through `body_filter` all the same.
        kind = headers.values.get("content-type", "")
        call.reader = self._work.stream(kind, call.out)
        if call.reader is not None:
            self._begin_stream(ex, call, call.reader)
            if call.out.stream_type:
                headers.set("Content-Type", call.out.stream_type)
        elif response.content is None and call.read and kind.startswith(_JSON):
            call.reader = Collected(lambda content: self._work.answer(content, headers.values, call.out))
            self._begin_stream(ex, call, call.reader)
        elif response.content is None:
            ex.holds_head = True
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
            ex.add_early_headers(FieldSet(None, told.encode(), shown.NAMES))

    def _begin_stream(self, ex: Exchange, call: OperationCall, reader: Reader) -> None:
        ex.holds_head = True
        ex.last_words = partial(_broken_off, call, reader)
        if self._floor is not None and call.operation in _WRITTEN:
            ex.watch = Pace(self._floor, lambda: reader.written).look

    def _keep(self, call: OperationCall, content: bytes) -> None:
        request, response = (bytes_.decode("utf-8", "replace") for bytes_ in (call.out.content, content))
        call.metered.payload = {"request": request, "response": response}

    def _unpack(self, call: OperationCall, response: Response) -> None:
        if not call.read:
            return  # the client asked for this encoding
        if response.headers.values.get("content-encoding", "").lower() == "gzip":
            response.headers.remove("content-encoding")
            if response.content is None:
                call.unzip = Gunzip()
            else:
                response.content = gunzip(response.content)

    def _failed(self, ex: Exchange, call: OperationCall, response: Response) -> None:
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
            slot = ex.peek(Slot)
            if slot is not None and slot.call is not None:
                slot.call.over = True
            self._envelope.own(ex, ex.response)

    def body_filter(self, ex: Exchange, chunk: bytes, last: bool) -> bytes:
        slot = ex.peek(Slot)
        call = None if slot is None else slot.call
        if call is None or call.over:
            return chunk
        call.ended = last
        try:
            content = self._passed(ex, call, chunk, last)
        except PeerError as error:
            raise UpstreamFault(Cause.BAD_RESPONSE, str(error), sent=True) from error
        if slot is not None and slot.first is not None and self._firsts is not None:
            reader = call.reader
            good = last and (reader is None or (reader.complete and reader.failed is None))
            self._firsts.remember(ex, slot.first, content, whole=good)
        return content

    def _passed(self, ex: Exchange, call: OperationCall, chunk: bytes, last: bool) -> bytes:
        if call.unzip is not None:
            chunk = call.unzip.feed(chunk, last)
        if call.error is not None:
            call.error += chunk
            return self._envelope.rest(ex, call.error) if last else b""
        if call.reader is not None:
            chunk = call.reader.feed(chunk, last)
            if ex.holds_head:
                self._judge(ex, call, call.reader, last=last)
        elif chunk:
            ex.holds_head = False
        return chunk

    def _judge(self, ex: Exchange, call: OperationCall, reader: Reader, *, last: bool) -> None:
        """Lets the head go with the first piece of the answer. Raises `Reject` if there will be none."""
        if reader.began:
            ex.holds_head = False
            first = call.metered.first_token_ms = int((self.services.clock() - ex.sent_at) * 1000)
            ex.add_early_headers(FieldSet(None, shown.first_token_line(first), ()))
        elif reader.failed is not None:
            call.over = True
            raise self._envelope.failed(reader.failed)
        elif last:
            ex.holds_head = False

    def log(self, ex: Exchange) -> None:
        """Settles a stream, however it ended, and a call whose client did not wait for the answer."""
        slot = ex.peek(Slot)
        if slot is not None and slot.first is not None and self._firsts is not None:
            self._firsts.drop(slot.first)
        if self._credentials.in_query and ex.upstream_target is not None:
            ex.upstream_target = self._credentials.hidden(ex.upstream_target)
        call = None if slot is None else slot.call
        if call is None:
            return
        reader = call.reader
        if reader is not None:
            call.metered.malformed_events = reader.malformed
            self._settle(call, Got(b"", reader.model, reader.usage, written=reader.written))
        elif call.out.answers and not call.answered:
            call.metered.statistics = self.conf.logging.log_statistics
            self._settle(call, Got(b"", "", used_by_others(self._work, call.out)))
        elif ex.sent_at and ex.response is None:
            call.metered.statistics = self.conf.logging.log_statistics
            self._settle(call, Got(b"", "", None))
        failed = None if reader is None else reader.failed
        call.metered.error = bill.error_of(ex, failed, ended=call.ended)

    def _settle(self, call: OperationCall, got: Got) -> None:
        """What the call used and cost."""
        metered, usage = call.metered, got.usage
        metered.response_model = got.model
        if call.operation == _COUNTING:
            metered.cost_nano_usd = 0  # no provider asks money for that
            return
        if usage is None:
            reader = call.reader
            did_nothing = reader is not None and not reader.began and bill.is_refused(reader.failed)
            prompt = 0 if did_nothing else call.body.prompt_tokens()
            usage = Usage(prompt, tokens.completion_tokens(got.written), estimated=True)
            if call.operation == "speech" and call.body.members is not None:
                usage.characters = len(text_of(call.body.members.get("input")) or "")
        elif call.reader is not None and not call.reader.complete:
            bill.count_delivered(usage, got.written)
        usage.fit()
        metered.usage = usage
        if usage.audio_ms or usage.characters:
            self._settle_by_measure(metered, got.model or metered.model, usage)
            return
        if not usage.estimated or call.operation in bill.BY_TOKENS:
            bill.put_cost(metered, self._prices, self.services.wall_clock(), got.service_tier)

    def _settle_by_measure(self, metered: Metered, model: str, usage: Usage) -> None:
        """The cost of what is billed by its length; that of a provider that is free is nothing."""
        if self._provider.free:
            metered.cost_nano_usd = 0
            return
        found = self._prices.by_measure(model, usage, self.services.wall_clock())
        if found is not None:
            metered.cost_nano_usd, metered.price = found


def _broken_off(call: OperationCall, reader: Reader, fault: UpstreamFault) -> bytes:
    """What a client is told when the provider breaks off within the answer."""
    call.over = True
    trouble: Trouble = "timeout" if fault.status == 504 else "upstream_error"
    return reader.fail(f"the provider's answer broke off: {fault.detail}", trouble)
