"""What is read of answers that are passed on untouched: the same as of those that pass through a form."""

import gzip
from collections.abc import Mapping

import pytest
from tests.support.recordings import Recording, recording, recordings

from tollhouse.llm.chat import Failed, Finish, Start
from tollhouse.llm.cost import PriceBook
from tollhouse.llm.dialogue import FORMS
from tollhouse.llm.form import Unreadable
from tollhouse.llm.observing import Observer
from tollhouse.llm.providers import PROVIDERS
from tollhouse.llm.recognise import recognised
from tollhouse.pdk.usage import Metered, Usage

CHATS = [
    stored
    for stored in recordings()
    if stored.status == 200 and (asked := recognised(stored.path)) is not None and asked.operation == "chat"
]
EMBEDDINGS = recording("openai/embeddings-embeddings-text-embedding-3-small")
PRICES = PriceBook(PROVIDERS["openai"], 1.0, 2.0, ())


def observed(
    path: str, content: bytes, headers: Mapping[str, str], *, pieces: int = 1, received: int = 40
) -> Metered:
    observer, metered = Observer(path, "openai_chat", "m"), Metered("openai", "m")
    observer.begin(headers)
    size = -(-len(content) // pieces) or 1
    for start in range(0, len(content) or 1, size):
        observer.feed(content[start : start + size], last=start + size >= len(content))
    observer.settle(metered, PRICES, received, 0)
    return metered


def usage_of(stored: Recording) -> Usage | None:
    """By the form's own decoders; `None` where nothing is told."""
    asked = recognised(stored.path)
    assert asked is not None
    form, told = FORMS[asked.form], None
    if not stored.streamed:
        try:
            told = form.decode_response(stored.content).usage
        except Unreadable:
            return None
    decoder = form.stream_decoder()
    for delta in [*decoder.feed(stored.content), *decoder.end()] if stored.streamed else ():
        if isinstance(delta, Start | Finish | Failed):
            told = delta.usage or told
    if told is not None:
        told.fit()
    return told


@pytest.mark.parametrize("stored", CHATS, ids=[stored.name for stored in CHATS])
@pytest.mark.parametrize("pieces", [1, 9])
def test_usage_is_what_the_provider_tells(stored: Recording, pieces: int) -> None:
    told = usage_of(stored)

    metered = observed(stored.path, stored.content, stored.headers, pieces=pieces)

    if told is None:
        assert metered.usage.estimated
    else:
        assert metered.usage == told
        billed = told.billed or (told.prompt_tokens, told.completion_tokens)
        assert metered.cost_nano_usd == (billed[0] * 1000 + billed[1] * 2000 if any(billed) else None)


def test_packed_answers_are_unpacked_for_the_bill_alone() -> None:
    headers = {**EMBEDDINGS.headers, "content-encoding": "gzip"}

    metered = observed(EMBEDDINGS.path, gzip.compress(EMBEDDINGS.content), headers, pieces=3)

    assert (metered.usage, metered.response_model) == (Usage(5), "text-embedding-3-small")


@pytest.mark.parametrize(
    ("path", "content", "headers", "usage", "nano_usd"),
    [
        ("/v1/chat/completions", b"oops", {"content-type": "application/json"}, (10, 0), 10_000),
        ("/v1/chat/completions", b"\x1f", {"content-encoding": "gzip"}, (10, 0), 10_000),
        ("/v1/chat/completions", b"data", {"content-encoding": "br"}, (10, 0), 10_000),
        (
            "/v1/chat/completions",
            b'data: {"choices":[{"index":0,"delta":{"content":"12345678"}}]}\n\n',
            {"content-type": "text/event-stream"},
            (10, 2),
            14_000,
        ),
        ("/v1/files", b'{"data":[]}', {"content-type": "application/json"}, (0, 0), None),
        ("/anything", b"\x00\x01", {"content-type": "audio/mpeg"}, (0, 0), None),
        ("/v1/models", b'{"data":[]}', {"content-type": "application/json"}, (0, 0), 0),
    ],
)
def test_what_nobody_tells_is_an_estimate_or_unknown(
    path: str, content: bytes, headers: Mapping[str, str], usage: tuple[int, int], nano_usd: int | None
) -> None:
    metered = observed(path, content, headers)

    assert (metered.usage.prompt_tokens, metered.usage.completion_tokens) == usage
    assert metered.usage.estimated or nano_usd == 0
    assert metered.cost_nano_usd == nano_usd
