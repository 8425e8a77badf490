"""Bodies that stay in OpenAI's form: only what is edited changes."""

import gzip
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollhouse.llm.dialogue import Forwarding, Sent
from tollhouse.llm.form import NOTHING_TOLD, Refusal, Unreadable
from tollhouse.llm.formats.openai_chat import forward
from tollhouse.llm.formats.openai_chat.forward import CHAT, COMPLETIONS, StreamMeter

CHUNK = (
    b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":null}]}\n\n'
)
ENDING = b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
USAGE = b'{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"7",
        b'{"a":1',
        b"\xff",
        b'{"\xff":1}',
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_no_object_is_refused_in_kong_s_words(body: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        forward.members_of(body)

    assert (refused.value.status, refused.value.message) == (400, forward.NO_PROMPTS)


@pytest.mark.parametrize(
    ("body", "wanted", "message"),
    [
        (b'{"messages":[{"role":"user"}]}', CHAT, None),
        (b'{"messages":[{"role":"user"}],"prompt":null}', CHAT, None),
        (b'{"prompt":"x"}', COMPLETIONS, None),
        (b'{"prompt":""}', COMPLETIONS, None),
        (b"{}", CHAT, forward.NO_PROMPTS),
        (b'{"messages":[]}', CHAT, forward.NO_PROMPTS),
        (b'{"messages":[ \n ]}', CHAT, forward.NO_PROMPTS),
        (b'{"messages":{}}', CHAT, forward.NO_PROMPTS),
        (b'{"messages":null}', CHAT, forward.NO_PROMPTS),
        (b'{"prompt":["x"]}', COMPLETIONS, forward.NO_PROMPTS),
        (b'{"messages":[1],"prompt":"x"}', CHAT, forward.BOTH),
        (
            b'{"prompt":"x"}',
            CHAT,
            "[llm/v1/completions] message format is not compatible with [llm/v1/chat] route type",
        ),
        (
            b'{"messages":[1]}',
            COMPLETIONS,
            "[llm/v1/chat] message format is not compatible with [llm/v1/completions] route type",
        ),
    ],
)
def test_a_body_must_be_a_prompt_of_the_route_s_kind(body: bytes, wanted: str, message: str | None) -> None:
    members = forward.members_of(body)

    if message is None:
        forward.check_kind(members, wanted)
        return
    with pytest.raises(Refusal) as refused:
        forward.check_kind(members, wanted)
    assert refused.value.message == message


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), values, max_size=6), st.booleans())
def test_unknown_members_keep_their_meaning(body: dict[str, Any], stream: bool) -> None:
    members = forward.members_of(msgspec.json.encode(body))

    sent = Forwarding("llm/v1/chat", ask_usage=True).request(members, NOTHING_TOLD, model="m", stream=stream)

    got = msgspec.json.decode(sent.content)
    if stream:
        got.pop("stream_options")
        body = {name: value for name, value in body.items() if name != "stream_options"}
    assert got == body


ODD = (
    b'{ "messages" : [ {"role":"user","content":"\\u0041\\/x"} ], "seed": 12345678901234567890123,'
    b' "temperature": 1.0e-3, "new_field": {"b": 1,  "a": [1.50]}, "model": "m"}'
)


def test_members_that_are_not_edited_keep_their_very_bytes() -> None:
    members = forward.members_of(ODD)
    members["model"] = msgspec.Raw(b'"other"')

    out = forward.body_of(members)

    for kept in (
        b'[ {"role":"user","content":"\\u0041\\/x"} ]',
        b"12345678901234567890123",
        b"1.0e-3",
        b'{"b": 1,  "a": [1.50]}',
    ):
        assert kept in out
    assert b'"model":"other"' in out


@pytest.mark.parametrize(
    ("options", "asked", "sent"),
    [
        (None, True, b'{"include_usage":true}'),
        (b"null", True, b'{"include_usage":true}'),
        (b"{}", True, b'{"include_usage":true}'),
        (b'{"include_usage":false}', True, b'{"include_usage":true}'),
        (b'{"include_usage": true}', False, b'{"include_usage": true}'),
        (b'{"include_obfuscation":false}', True, b'{"include_obfuscation":false,"include_usage":true}'),
        (b"7", False, b"7"),
    ],
)
def test_usage_is_asked_for_unless_the_client_did(options: bytes | None, asked: bool, sent: bytes) -> None:
    members = {} if options is None else {"stream_options": msgspec.Raw(options)}

    assert forward.ask_for_usage(members) is asked
    assert bytes(members["stream_options"]) == sent


@pytest.mark.parametrize(
    ("body", "own"), [(b"{}", True), (b'{"stream_options":{"x":1}}', False), (b'{"stream_options":7}', False)]
)
def test_a_client_s_own_stream_options_are_told_apart(body: bytes, own: bool) -> None:
    members = forward.members_of(body)
    forward.ask_for_usage(members)

    assert forward.asks_only_usage(members) is own


@pytest.mark.parametrize(
    ("raw", "text"),
    [(None, None), (b"null", None), (b"7", None), (b'"m"', "m"), (b'"\\u0041"', "A"), (b'"\xff"', None)],
)
def test_a_member_s_text(raw: bytes | None, text: str | None) -> None:
    assert forward.text_of(None if raw is None else msgspec.Raw(raw)) == text


# Answers


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"error":{"message":"no"}}',
        b"<html>",
        b"\xff",
        gzip.compress(b"{}", mtime=0),
    ],
)
def test_an_answer_without_choices_is_unreadable(content: bytes) -> None:
    with pytest.raises(Unreadable, match="'choices' not in llm/v1/chat response"):
        forward.read_whole(content)


@pytest.mark.parametrize(
    "content",
    [
        b'{"choices":[],"usage":"many"}',
        b'{"choices":[],"usage":{"prompt_tokens":"9"}}',
        b'{"choices":[],"model":7}',
        b'{"choices":null,"usage":[]}',
    ],
)
def test_odd_types_beside_the_choices_are_let_pass(content: bytes) -> None:
    got = Forwarding("llm/v1/chat", ask_usage=True).answer(content, Sent(b""), "", 0)

    assert (got.content, got.usage) == (content, None)


def test_without_usage_what_was_written_is_counted() -> None:
    said = {"content": "h\u00e9llo", "reasoning_content": "abc", "tool_calls": [{"id": "1"}]}
    content = msgspec.json.encode({"choices": [{"message": said}, {"text": "12"}]})

    got = Forwarding("llm/v1/chat", ask_usage=True).answer(content, Sent(b""), "", 0)

    assert got.written == len("h\u00e9llo".encode()) + 3 + len(b'[{"id":"1"}]') + 2


def meter(*, hide_usage: bool = True, keep_text: bool = False) -> StreamMeter:
    return StreamMeter("llm/v1/chat", hide_usage=hide_usage, keep_text=keep_text)


def test_bytes_are_passed_on_with_their_event_s_end() -> None:
    passage = meter()

    assert passage.feed((CHUNK % b"hi")[:20], False) == b""
    assert passage.feed((CHUNK % b"hi")[20:], False) == CHUNK % b"hi"


@pytest.mark.parametrize(
    "stream",
    [
        CHUNK % b"hi" + ENDING + DONE,
        # no [DONE], or not with its empty line: some servers do so
        CHUNK % b"hi" + ENDING,
        CHUNK % b"hi" + ENDING + b"data: [DONE]",
        # an error that the provider told itself, before and after its first chunk
        CHUNK % b"hi" + b'data: {"error":{"message":"no"}}\n\n',
        b'data: {"error": "no"}\n\n',
        b": waiting\n\n" + CHUNK % b"hi" + ENDING + b": bye\n\n" + DONE,
    ],
)
def test_a_stream_that_came_to_its_end_is_passed_on_as_it_is(stream: bytes) -> None:
    assert meter().feed(stream, True) == stream


@pytest.mark.parametrize(
    ("stream", "kept"),
    [
        (b"", b""),
        (CHUNK % b"hi", CHUNK % b"hi"),
        (CHUNK % b"hi" + (CHUNK % b"you")[:-30], CHUNK % b"hi"),
        ((CHUNK % b"hi").replace(b"\n", b"\r\n"), (CHUNK % b"hi").replace(b"\n", b"\r\n")),
        (b": waiting\n\n", b": waiting\n\n"),
    ],
)
def test_half_an_answer_ends_in_an_error(stream: bytes, kept: bytes) -> None:
    out = meter().feed(stream, True)

    assert out.startswith(kept)
    error = msgspec.json.decode(out.removeprefix(kept).removeprefix(b"data: "))
    assert error["error"]["message"] == "the provider's stream ended early"
    assert (error["error"]["type"], error["error"]["code"]) == ("api_error", "upstream_error")


def test_usage_told_with_the_last_choice_stays_in_the_stream() -> None:
    last = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":%b}\n\n' % USAGE
    passage = meter()

    assert passage.feed(CHUNK % b"hi" + last + DONE, True) == CHUNK % b"hi" + last + DONE
    assert passage.usage is not None
    assert (passage.usage.prompt_tokens, passage.usage.completion_tokens) == (9, 2)


def test_the_last_of_several_usages_counts() -> None:
    told = b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":%d}}\n\n'
    passage = meter(hide_usage=False)

    passage.feed(told % 1 + told % 5 + ENDING + DONE, True)

    assert passage.usage is not None
    assert passage.usage.completion_tokens == 5


def test_a_whole_answer_in_place_of_a_stream_is_metered() -> None:
    content = b'{"model":"m","choices":[{"finish_reason":"stop","message":{}}],"usage":%b}' % USAGE
    passage = meter()

    assert passage.feed(content[:30], False) + passage.feed(content[30:], True) == content
    assert passage.usage is not None
    assert passage.usage.total_tokens == 11


@pytest.mark.parametrize(
    ("chunk", "written"),
    [
        (b'{"choices":[{"delta":{"content":"four"}}]}', 4),
        (b'{"choices": [{"delta": {"role": "assistant", "content": "four"}}]}', 4),
        (b'{"choices":[{"delta":{"reasoning_content":"four"}}]}', 4),
        (b'{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{\\"a\\""}}]}}]}', 4),
        (b'{"choices":[{"delta":{}}]}', 0),
        (b'{"choices":[{"delta":{"content":"a \\"_tokens\\""}}]}', 11),
    ],
)
def test_what_was_written_is_counted(chunk: bytes, written: int) -> None:
    passage = meter()
    passage.feed(CHUNK % b"", False)

    passage.feed(b"data: " + chunk + b"\n\n", False)

    assert passage.written == written


def test_text_is_kept_only_if_asked_for() -> None:
    stream = CHUNK % b"h\\u00e9" + CHUNK % b"llo" + ENDING + DONE
    kept, not_kept = meter(keep_text=True), meter()

    assert kept.feed(stream, True) == not_kept.feed(stream, True) == stream
    assert (kept.text, not_kept.text) == ("h\u00e9llo", "")


@given(st.binary(max_size=80), st.integers(0, 80), st.booleans())
def test_garbage_is_left_out_and_never_an_exception(garbage: bytes, cut: int, keep_text: bool) -> None:
    passage = StreamMeter("llm/v1/chat", hide_usage=False, keep_text=keep_text)

    out = passage.feed(b"data: " + garbage[:cut], False) + passage.feed(garbage[cut:] + b"\n\n" + DONE, True)

    whole = b"data: " + garbage + b"\n\n" + DONE
    assert out.endswith(DONE)
    assert (out == whole) == (passage.malformed == 0)


def test_a_client_s_wish_for_usage_is_left_alone() -> None:
    members = forward.members_of(b'{"stream_options":{"include_usage":true}}')

    sent = Forwarding("llm/v1/chat", ask_usage=True).request(members, NOTHING_TOLD, model="m", stream=True)

    assert sent == Sent(b'{"stream_options":{"include_usage":true}}')


def test_servers_that_refuse_to_be_asked_are_not() -> None:
    sent = Forwarding("llm/v1/chat", ask_usage=False).request({}, NOTHING_TOLD, model="m", stream=True)

    assert sent == Sent(b"{}")
