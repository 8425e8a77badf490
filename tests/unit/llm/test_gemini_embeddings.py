"""Embeddings in Google's three shapes, and counts of tokens."""

from typing import Any

import msgspec
import pytest

from tollhouse.llm.chat import ChatRequest, Message, Text, Tool
from tollhouse.llm.embeddings import Embeddings, EmbeddingsRequest, batches
from tollhouse.llm.form import Refusal, Told, Unreadable
from tollhouse.llm.formats.gemini.count import (
    decode_count,
    decode_count_request,
    encode_count,
    encode_count_request,
)
from tollhouse.llm.formats.gemini.embeddings import (
    BATCH,
    BATCH_LIMIT,
    PREDICT,
    SINGLE,
    decode_request,
    decode_response,
    encode_predict,
    encode_request,
    encode_response,
)
from tollhouse.pdk.usage import Usage


def content(text: str) -> dict[str, Any]:
    return {"parts": [{"text": text}]}


def read(body: Any) -> EmbeddingsRequest:
    return decode_request(msgspec.json.encode(body), Told("m"))


SINGLE_BODY = {"content": content("a"), "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 3}
BATCH_BODY = {
    "requests": [
        {"model": "models/m", "content": content(text), "taskType": "SEMANTIC_SIMILARITY"} for text in "ab"
    ]
}
PREDICT_BODY = {
    "instances": [{"content": text, "task_type": "CLUSTERING"} for text in "ab"],
    "parameters": {"autoTruncate": False, "outputDimensionality": 3},
}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (SINGLE_BODY, EmbeddingsRequest(form=SINGLE, model="m", texts=("a",), dimensions=3, purpose="query")),
        (
            {"content": {"role": "user", **content("a")}},
            EmbeddingsRequest(form=SINGLE, model="m", texts=("a",)),
        ),
        (
            BATCH_BODY,
            EmbeddingsRequest(
                form=BATCH, model="m", texts=("a", "b"), extra={"taskType": "SEMANTIC_SIMILARITY"}
            ),
        ),
        (
            PREDICT_BODY,
            EmbeddingsRequest(
                form=PREDICT,
                model="m",
                texts=("a", "b"),
                dimensions=3,
                purpose="clustering",
                extra={"autoTruncate": False},
            ),
        ),
        (
            {"content": content("a"), "task_type": "RETRIEVAL_DOCUMENT", "output_dimensionality": 3},
            EmbeddingsRequest(form=SINGLE, model="m", texts=("a",), dimensions=3, purpose="document"),
        ),
    ],
)
def test_requests_of_clients(body: Any, expected: EmbeddingsRequest) -> None:
    assert read(body) == expected


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "content"),
        ({"requests": []}, "at least one"),
        ({"requests": 7}, "array"),
        ({"instances": [{}]}, "content"),
        ({"content": {"parts": [{"inlineData": {}}]}}, "text"),
        ({"requests": [SINGLE_BODY, {"content": content("b")}]}, "must be the same for all"),
        ({"requests": [{"content": content("a"), "title": "t"}, {"content": content("b")}]}, "title must be"),
        ({"instances": [{"content": "a", "task_type": "CLUSTERING"}, {"content": "b"}]}, "task_type must be"),
    ],
)
def test_what_is_refused(body: Any, words: str) -> None:
    with pytest.raises(Refusal, match=words):
        read(body)


def test_the_same_shape_comes_back() -> None:
    ignored: list[str] = []

    assert encode_request(read(BATCH_BODY), ignored) == BATCH_BODY
    assert encode_predict(read(PREDICT_BODY), ignored) == PREDICT_BODY
    assert encode_request(read(SINGLE_BODY), ignored)["requests"] == [{"model": "models/m", **SINGLE_BODY}]
    assert ignored == []


OTHER = EmbeddingsRequest(
    form="openai", model="m", texts=("a",), dimensions=3, purpose="document", user="u", extra={"x": 1}
)


def test_requests_of_other_forms() -> None:
    ignored: list[str] = []

    batch, predict = encode_request(OTHER, ignored), encode_predict(OTHER, [])

    asked = {"taskType": "RETRIEVAL_DOCUMENT", "outputDimensionality": 3}
    assert batch == {"requests": [{"model": "models/m", "content": content("a"), **asked}]}
    assert predict == {
        "instances": [{"content": "a", "task_type": "RETRIEVAL_DOCUMENT"}],
        "parameters": {"outputDimensionality": 3},
    }
    assert ignored == ["user", "x"]


def test_token_ids_are_for_their_own_model() -> None:
    with pytest.raises(Refusal, match="token ids"):
        encode_request(EmbeddingsRequest(form="openai", model="m", tokens=((1, 2),)), [])


def test_many_texts_take_several_requests() -> None:
    many = EmbeddingsRequest(form="openai", model="m", texts=tuple(map(str, range(250))))

    assert [len(one.texts) for one in batches(many, BATCH_LIMIT)] == [100, 100, 50]
    assert [text for one in batches(many, 1) for text in one.texts] == list(many.texts)


@pytest.mark.parametrize(
    ("form", "usage"),
    [(SINGLE, None), (SINGLE, Usage(4)), (BATCH, Usage(4)), (BATCH, None), (PREDICT, Usage(4))],
)
def test_answers_come_and_go_back(form: str, usage: Usage | None) -> None:
    asked = EmbeddingsRequest(form=form, model="m", texts=("a",))
    answer = Embeddings(vectors=((0.5, 1.0),), usage=usage)

    assert decode_response(msgspec.json.encode(encode_response(answer, asked))) == answer


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"embeddings":7}', b"\xff"])
def test_what_is_no_answer_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        decode_response(body)


# Counts

HELLO = Message("user", (Text("hi"),))
TURN = {"role": "user", "parts": [{"text": "hi"}]}


def test_counts_of_a_conversation() -> None:
    plain = ChatRequest(form="openai_chat", model="m", messages=(HELLO,))
    tooled = ChatRequest(form="openai_chat", model="models/m", messages=(HELLO,), tools=(Tool("f"),))
    tools = [{"functionDeclarations": [{"name": "f"}]}]

    assert encode_count_request(plain, []) == {"contents": [TURN]}
    assert encode_count_request(tooled, []) == {
        "generateContentRequest": {"model": "models/m", "contents": [TURN], "tools": tools}
    }
    assert encode_count_request(tooled, [], vertex=True) == {"contents": [TURN], "tools": tools}


@pytest.mark.parametrize(
    "body",
    [
        {"contents": [TURN]},
        {"generateContentRequest": {"contents": [TURN]}},
        {"generate_content_request": {"contents": [TURN]}},
    ],
)
def test_what_is_to_be_counted(body: Any) -> None:
    asked = decode_count_request(msgspec.json.encode(body), Told("m"))

    assert (asked.model, asked.messages) == ("m", (HELLO,))


def test_what_cannot_be_counted_is_refused() -> None:
    for body in (b"", b"{}", b'{"generateContentRequest": {"contents": 7}}'):
        with pytest.raises(Refusal, match="countTokens"):
            decode_count_request(body)


def test_counts_come_and_go_back() -> None:
    assert decode_count(msgspec.json.encode(encode_count(9))) == 9
    assert decode_count(b"{}") == 0
    with pytest.raises(Unreadable):
        decode_count(b"<html>")
