"""What an answer that is passed on untouched tells of its use: a copy is read beside its way, so that no
call escapes the bill. What cannot be read costs the client nothing."""

from collections.abc import Mapping
from typing import Final

from tollhouse.errors import PeerError
from tollhouse.llm import bill, tokens
from tollhouse.llm.cost import PriceBook
from tollhouse.llm.dialogue import FORMS, Dialogue, Forwarding, Got, Reader, Sent
from tollhouse.llm.encoding import Gunzip
from tollhouse.llm.fixed import Fixed
from tollhouse.llm.formats.openai_chat.forward import CHAT, COMPLETIONS, StreamMeter
from tollhouse.llm.operations.counted import usage_told
from tollhouse.llm.operations.places import Wire
from tollhouse.llm.operations.streams import Collected, reader_for
from tollhouse.llm.passing import Passing, StreamPassage
from tollhouse.llm.provider import FormName
from tollhouse.llm.recognise import UNREAD, Asked, Operation, recognised
from tollhouse.llm.settings import Options
from tollhouse.pdk.usage import Metered, Usage

_JSON: Final = "application/json"
#: forms whose operations tell usage in a way of their own
_WIRES: Final[Mapping[FormName, Wire]] = {"gemini": "gemini", "bedrock_converse": "bedrock"}
#: what providers take no money for
_FREE: Final[frozenset[Operation]] = frozenset({"count_tokens", "models"})


class Observer:
    """Reads the copy of one answer, as its path promises. `form` is what the provider's chats have."""

    def __init__(self, path: str, form: FormName, model: str) -> None:
        asked = recognised(path)
        self._sent = Sent(b"", model=model)
        self._operation = None if asked is None else asked.operation
        self._dialogue = None if asked is None else _dialogue_of(asked)
        self._wire: Wire = _WIRES.get(form if asked is None else asked.form, "openai")
        self._reader: Reader | None = None
        self._service_tier: str | None = None
        self._unzip: Gunzip | None = None

    def begin(self, headers: Mapping[str, str]) -> None:
        """The head of the answer has come; its names are in lower case."""
        coding = headers.get("content-encoding", "").lower()
        if coding == "gzip":
            self._unzip = Gunzip()
        elif coding:
            return  # the client's own business
        self._reader = self._reader_of(headers.get("content-type", ""), headers)

    def feed(self, chunk: bytes, *, last: bool) -> None:
        reader = self._reader
        if reader is None or reader.failed is not None:
            return
        try:
            reader.feed(chunk if self._unzip is None else self._unzip.feed(chunk, last), last)
        except PeerError as error:
            reader.fail(str(error))

    def settle(self, metered: Metered, prices: PriceBook, received: int, now: float) -> None:
        """Puts down what was used, and what it cost. `received` are the bytes of the request."""
        reader, usage = self._reader, None
        tier = self._service_tier
        if reader is not None:
            metered.response_model, metered.malformed_events = reader.model, reader.malformed
            usage = reader.usage
        if isinstance(reader, StreamMeter | StreamPassage):
            tier = reader.service_tier
        if self._operation in _FREE:
            metered.cost_nano_usd = 0
            return
        if usage is None:
            usage = Usage(estimated=True)
            if self._operation in bill.BY_TOKENS:
                usage.prompt_tokens = tokens.completion_tokens(received)
                usage.completion_tokens = tokens.completion_tokens(0 if reader is None else reader.written)
        elif reader is not None and not reader.complete:
            bill.count_delivered(usage, reader.written)
        usage.fit()
        metered.usage = usage
        if usage.total_tokens:
            bill.put_cost(metered, prices, now, tier)

    def _reader_of(self, kind: str, headers: Mapping[str, str]) -> Reader | None:
        if self._dialogue is not None and self._dialogue.is_stream(kind):
            return self._dialogue.stream(self._sent, "", 0, keep_text=False)
        if self._operation in UNREAD:
            return None
        if kind.startswith(_JSON):
            return Collected(lambda content: self._whole(content, headers))
        return reader_for(kind)

    def _whole(self, content: bytes, headers: Mapping[str, str]) -> Got:
        if self._dialogue is None:
            usage, model = usage_told(content, headers, self._wire)
            return Got(b"", model, usage)
        got = self._dialogue.answer(content, self._sent, "", 0)
        self._service_tier = got.service_tier
        return got


def _dialogue_of(asked: Asked) -> Dialogue | None:
    """Who reads answers of chats and completions, which tell more than their usage."""
    if asked.operation == "completions":
        return Forwarding(COMPLETIONS, ask_usage=False)
    if asked.operation != "chat":
        return None
    if asked.form == "openai_chat":
        return Forwarding(CHAT, ask_usage=False)
    return Passing(FORMS[asked.form], Fixed(asked.form, Options()), model_in_path=True)
