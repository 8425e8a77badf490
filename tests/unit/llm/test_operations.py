"""Pure parts of operations: forms with files, usage as each provider tells it, streams cut anywhere."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.recordings import recording
from tests.support.streams import cut_anywhere

from tollhouse.llm.endpoint import Unserved
from tollhouse.llm.operations import places
from tollhouse.llm.operations.choice import place_for
from tollhouse.llm.operations.counted import usage_told
from tollhouse.llm.operations.multipart import field_of, with_field
from tollhouse.llm.operations.places import Wire
from tollhouse.llm.operations.streams import reader_for
from tollhouse.llm.providers import PROVIDERS
from tollhouse.llm.recognise import Asked
from tollhouse.llm.settings import Gemini, Model, Options

KIND = 'multipart/form-data; boundary="b-1"'
FORM = (
    b'--b-1\r\nContent-Disposition: form-data; name="file"; filename="model"\r\n\r\n\0--b\r\n\r\n--b-1\r\n'
    b'Content-Disposition: form-data; name="model"\r\n\r\nold\r\n--b-1--\r\n'
)
DONE = {"type": "image_generation.completed", "usage": {"input_tokens": 3, "output_tokens": 9}}
EVENTS = (
    b': comment\n\ndata: {"type":"image_generation.partial_image","b64_json":"aGk="}\n\n'
    b"event: image_generation.completed\ndata: " + json.dumps(DONE).encode() + b"\n\n"
)
LINES = (
    b'{"response":"h\xc3\xa9","done":false}\n'
    b'{"response":"","done":true,"prompt_eval_count":3,"eval_count":9}\n'
)


def test_a_field_of_a_form_is_replaced_and_nothing_else() -> None:
    place = field_of(FORM, KIND, "model")

    assert place is not None
    assert FORM[place.start : place.end] == b"old"
    assert with_field(FORM, KIND, "model", "new") == FORM.replace(b"old", b"new")


def test_a_field_that_is_not_there_is_added() -> None:
    added = with_field(FORM, KIND, "prompt", "hi")

    place = field_of(added, KIND, "prompt")
    assert place is not None
    assert added[place.start : place.end] == b"hi"
    assert added.endswith(FORM)
    assert with_field(FORM, "multipart/form-data", "model", "new") == FORM


@pytest.mark.parametrize(
    ("name", "wire", "tokens"),
    [
        ("openai/embeddings-embeddings-text-embedding-3-small", "openai", 5),
        ("vertex/predict-embeddings-gemini-embedding-001", "vertex", 11),
        ("bedrock/invoke-embeddings-amazon.nova-2-multimodal-emb", "bedrock", 10),
        ("cohere/embed-embeddings-embed-v4.0", "cohere", 4),
        ("openai-compatible/rerank-rerank-rerank-2.5-lite", "openai", 17),
    ],
)
def test_recorded_usage(name: str, wire: Wire, tokens: int) -> None:
    stored = recording(name)

    usage, _ = usage_told(stored.content, stored.headers, wire)

    assert usage is not None
    assert usage.prompt_tokens == tokens


@pytest.mark.parametrize(
    "content", [b"", b"[", b"[]", b'{"usage":7}', b'{"usage":{"input_tokens":"x"}}', b"\xff"]
)
def test_what_tells_no_usage_is_no_error(content: bytes) -> None:
    assert usage_told(content, {}, "openai") == (None, "")


@pytest.mark.parametrize(
    ("kind", "content"), [("text/event-stream", EVENTS), ("application/x-ndjson", LINES)]
)
@given(data=st.data())
def test_where_a_stream_is_cut_changes_nothing(kind: str, content: bytes, data: st.DataObject) -> None:
    reader = reader_for(kind)
    assert reader is not None

    passed = b"".join([reader.feed(piece, False) for piece in cut_anywhere(data, content)])
    passed += reader.feed(b"", True)

    assert passed == content
    assert reader.usage is not None
    assert (reader.usage.prompt_tokens, reader.usage.completion_tokens) == (3, 9)


@pytest.mark.parametrize(
    ("kind", "content"), [("text/event-stream", EVENTS), ("application/x-ndjson", LINES)]
)
def test_a_stream_without_its_end_tells_an_error(kind: str, content: bytes) -> None:
    reader = reader_for(kind)
    assert reader is not None

    passed = reader.feed(content[:40], True)

    assert b'"error"' in passed


def test_sound_is_not_read() -> None:
    assert reader_for("audio/mpeg") is None


def test_places() -> None:
    embeddings = Asked("openai_chat", "embeddings", tail="/embeddings")
    edits = Asked("openai_chat", "images", tail="/images/edits")

    def path(provider: str, asked: Asked, **options: str) -> str:
        return place_for(PROVIDERS[provider], asked, Options(**options)).path  # type: ignore[arg-type]

    assert path("openai", edits) == "/v1/images/edits"
    assert path("deepseek", embeddings) == "/embeddings"
    assert path("ollama", Asked("openai_chat", "completions")) == "/v1/completions"
    single = Asked("gemini", "embeddings", tail=":embedContent")
    assert path("gemini", single) == "/v1beta/models/{model}:embedContent"
    compatible = "http://a/v1beta/openai/embeddings"
    assert place_for(PROVIDERS["gemini"], embeddings, Options(upstream_url=compatible)).wire == "openai"
    with pytest.raises(Unserved, match="'anthropic' has no embeddings"):
        path("anthropic", embeddings)
    with pytest.raises(Unserved, match="in this form"):
        path("openai", Asked("bedrock_converse", "embeddings"))
    with pytest.raises(Unserved, match="upstream_url"):
        path("llama2", embeddings)


def test_vertex_is_asked_to_predict() -> None:
    cloud = Gemini(api_endpoint="eu.test", project_id="p", location_id="l")
    model = Model(provider="gemini", name="m", options=Options(gemini=cloud))
    asked = Asked("openai_chat", "embeddings", tail="/embeddings")
    place = place_for(PROVIDERS["gemini"], asked, Options())

    found, place = places.at_cloud(model, asked, place)

    assert found.options is not None
    expected = "https://eu.test/v1/projects/p/locations/l/publishers/google/models/{model}:predict"
    assert found.options.upstream_url == expected
    assert place.wire == "vertex"
