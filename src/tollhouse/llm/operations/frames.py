"""Bedrock's frames of InvokeModelWithResponseStream, in which each maker of models has a form of its own:
what of the answer is in them can only be told roughly.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModelWithResponseStream.html
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tollhouse.llm.chat import Failed, Trouble
from tollhouse.llm.formats import bedrock_converse
from tollhouse.llm.formats.bedrock_converse.errors import trouble_of_kind
from tollhouse.llm.formats.bedrock_converse.invoke import BrokenOff, InvokeReader
from tollhouse.llm.reading import ENDED_EARLY
from tollhouse.pdk.usage import Usage

#: what leads to an answer, by the type that Anthropic's models tell and by the member that Amazon's have
_BEFORE: Final = frozenset(
    {"message_start", "content_block_start", "ping", "messageStart", "contentBlockStart"}
)
#: members whose text is the model's, in the forms of Anthropic, Amazon, Meta, Mistral and OpenAI
_TEXTS: Final = frozenset(
    {"text", "thinking", "partial_json", "outputText", "generation", "content", "reasoning_content"}
)


class Frames:
    """Passes them on as they are. One that says why there will be no more ends the answer as a failure."""

    def __init__(self) -> None:
        self._reader = InvokeReader()
        self.model = ""
        self.written = 0
        self.began = False
        self.failed: Failed | None = None

    @property
    def usage(self) -> Usage | None:
        return self._reader.usage

    @property
    def complete(self) -> bool:
        return self._reader.is_complete

    @property
    def malformed(self) -> int:
        return self._reader.skipped

    def fail(self, reason: str, trouble: Trouble = "upstream_error") -> bytes:
        failed = Failed(reason, trouble)
        self.failed = self.failed or failed
        return bedrock_converse.stream_encoder(include_usage=True).encode(failed)

    def feed(self, data: bytes, last: bool) -> bytes:
        if self.failed is not None:
            return data
        try:
            for body in self._reader.feed(data):
                self._learn(body)
        except BrokenOff as end:
            kind = str(end)
            self.failed = Failed(kind, trouble_of_kind(kind, 500, kind))
            return data
        if last and not self.complete:
            return data + self.fail(ENDED_EARLY)
        self.began = self.began or self.complete
        return data

    def _learn(self, body: bytes) -> None:
        found: Any = msgspec.json.decode(body)
        kinds = {found.get("type"), *found} if isinstance(found, dict) else {None}
        if _BEFORE.isdisjoint(kinds):
            self.began = True
            self.written += sum(len(text.encode()) for text in _texts(found))


def _texts(found: Any) -> Iterator[str]:
    if isinstance(found, list):
        for piece in found:
            yield from _texts(piece)
    elif isinstance(found, dict):
        for name, value in found.items():
            if isinstance(value, str):
                if name in _TEXTS:
                    yield value
            else:
                yield from _texts(value)
