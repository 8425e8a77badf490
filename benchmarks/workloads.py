"""The workloads: what is sent, what must come back, how Tollhouse is configured for it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Config = dict[str, Any]

MODEL: Final = "gpt-4o-mini"
KEY: Final = "bench-key"
PATH: Final = "/v1/chat/completions"
MESSAGES: Final = "/v1/messages"
BODY_BYTES: Final = 230
ANSWER_BYTES: Final = 500
EVENTS: Final = 200
USAGE: Final = {"prompt_tokens": 42, "completion_tokens": EVENTS - 1, "total_tokens": EVENTS + 41}


@dataclass(frozen=True, slots=True)
class Request:
    """A POST with a chat body, as one contender wants it."""

    body: bytes
    path: str = PATH
    headers: Mapping[str, str] = field(default_factory=lambda: {"apikey": KEY})

    @property
    def all_headers(self) -> dict[str, str]:
        return {"Content-Type": "application/json", **self.headers}

    def encode(self) -> bytes:
        head = "".join(f"{name}: {value}\r\n" for name, value in self.all_headers.items())
        first = f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        return f"{first}{head}Content-Length: {len(self.body)}\r\n\r\n".encode() + self.body


@dataclass(frozen=True, slots=True)
class Workload:
    name: str
    title: str
    # The most CPU per request that Tollhouse should need, as a multiple of nginx in the same run.
    at_most_nginx: float | None = None
    for_llm: bool = False  # LLM gateways take part
    streamed: bool = False
    # The most CPU for each event of a stream, in microseconds.
    event_us: float | None = None
    # The model speaks Anthropic's form, and Tollhouse translates.
    translated: bool = False

    def body(self, model: str = MODEL) -> bytes:
        return _chat_body(model, streamed=self.streamed)

    def check(self, answer: bytes) -> None:
        """Raise ValueError unless this is what the model said, whatever was added around it."""
        try:
            said = "".join(_deltas(answer)) if self.streamed else _content(answer)
        except (KeyError, IndexError, json.JSONDecodeError) as error:
            raise ValueError(f"not a chat completion: {answer[:120]!r}") from error
        if said != (STREAM_TEXT if self.streamed else TEXT):
            raise ValueError(f"not the model's words: {said[:60]!r}")


WORKLOADS: Final = (
    Workload("bare", "Bare route", at_most_nginx=2.0),
    Workload("plugins", "key-auth, rate-limiting, prometheus, correlation-id", at_most_nginx=3.0),
    Workload("chat", "Chat completion: key-auth, ai-proxy, prometheus", at_most_nginx=4.5, for_llm=True),
    Workload("stream", f"The same, streamed: {EVENTS} events", for_llm=True, streamed=True, event_us=15),
    Workload(
        "translated",
        f"The same, from Anthropic's form to OpenAI's: {EVENTS} events",
        streamed=True,
        event_us=40,
        translated=True,
    ),
)


def kong_config(workload: Workload, upstream: int) -> Config:
    """What Tollhouse runs. JSON is YAML, so this is also the declarative file."""
    service = {
        "name": "bench",
        "url": f"http://127.0.0.1:{upstream}",
        "routes": [{"name": "bench", "paths": ["/"]}],
        "plugins": _plugins(workload, upstream),
    }
    consumer = {"username": "bench", "keyauth_credentials": [{"key": KEY}]}
    return {"_format_version": "3.0", "services": [service], "consumers": [consumer]}


def _plugins(workload: Workload, upstream: int) -> list[Config]:
    metrics = {"status_code_metrics": True, "latency_metrics": True, "bandwidth_metrics": True}
    if workload.name == "bare":
        return []
    if workload.name == "plugins":
        return [
            {"name": "key-auth"},
            {"name": "rate-limiting", "config": {"minute": 1_000_000_000, "policy": "local"}},
            {"name": "prometheus", "config": metrics},
            {"name": "correlation-id", "config": {"generator": "uuid#counter", "echo_downstream": True}},
        ]
    return [
        {"name": "key-auth"},
        {"name": "ai-proxy", "config": _ai_proxy(f"http://127.0.0.1:{upstream}", workload)},
        {"name": "prometheus", "config": metrics | {"ai_metrics": True}},
    ]


def _ai_proxy(base: str, workload: Workload) -> Config:
    provider, path = ("anthropic", MESSAGES) if workload.translated else ("openai", PATH)
    options = {"upstream_url": base + path, "input_cost": 0.15, "output_cost": 0.6}
    if workload.translated:
        options["anthropic_version"] = "2023-06-01"
    return {
        "route_type": "llm/v1/chat",
        "auth": {"header_name": "Authorization", "header_value": "Bearer upstream-key"},
        "logging": {"log_statistics": True},
        "model": {"provider": provider, "name": MODEL, "options": options},
    }


def stream_events() -> Iterator[bytes]:
    """The streamed answer, one server-sent event at a time, as OpenAI sends it."""
    for word in STREAM_TEXT.split():
        yield _event([{"index": 0, "delta": {"content": f"{word} "}, "finish_reason": None}])
    yield _event([{"index": 0, "delta": {}, "finish_reason": "stop"}], usage=USAGE)


def message_events() -> Iterator[bytes]:
    """The same as Anthropic sends it, with as many events that say something."""
    usage = {"input_tokens": USAGE["prompt_tokens"], "output_tokens": 1}
    head = {"id": "msg_bench", "type": "message", "role": "assistant", "model": MODEL, "content": []}
    yield _message_event("message_start", message=head | {"usage": usage})
    yield _message_event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    for word in STREAM_TEXT.split():
        delta = {"type": "text_delta", "text": f"{word} "}
        yield _message_event("content_block_delta", index=0, delta=delta)
    yield _message_event("content_block_stop", index=0)
    counts = {"output_tokens": USAGE["completion_tokens"]}
    yield _message_event("message_delta", delta={"stop_reason": "end_turn"}, usage=counts)
    yield _message_event("message_stop")


def _message_event(kind: str, **members: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode({"type": kind, **members}))


def _event(choices: list[Config], **more: object) -> bytes:
    return b"data: " + _encode(_completion("chat.completion.chunk", choices) | more) + b"\n\n"


def _completion(kind: str, choices: list[Config]) -> Config:
    head = {"id": "chatcmpl-bench", "object": kind, "created": 1_700_000_000, "model": MODEL}
    return head | {"choices": choices}


def _answer(text: str) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return _encode(_completion("chat.completion", [choice]) | {"usage": USAGE})


def _chat_body(model: str, *, streamed: bool) -> bytes:
    """A body of BODY_BYTES with the standard model name; another name or `stream` comes on top."""

    def body(model: str, question: str, **more: object) -> bytes:
        system = {"role": "system", "content": "You are a helpful assistant."}
        return _encode({"model": model, "messages": [system, {"role": "user", "content": question}], **more})

    question = ("Why is the sky blue? " * 20)[: BODY_BYTES - len(body(MODEL, ""))]
    return body(model, question, **({"stream": True} if streamed else {}))


def _content(answer: bytes) -> str:
    completion = json.loads(answer)
    if completion["usage"]["total_tokens"] != USAGE["total_tokens"]:
        raise ValueError(f"wrong usage: {completion['usage']}")
    return str(completion["choices"][0]["message"]["content"])


def _deltas(answer: bytes) -> Iterator[str]:
    *events, last = (line for line in answer.split(b"\n") if line.startswith(b"data:"))
    if last.removeprefix(b"data:").strip() != b"[DONE]":
        raise ValueError(f"the stream ends with {last!r}")
    for event in events:
        for choice in json.loads(event.removeprefix(b"data:"))["choices"]:
            yield choice["delta"].get("content") or ""


def _encode(value: Config) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


STREAM_TEXT: Final = "".join(f"word{number} " for number in range(EVENTS - 1))
TEXT: Final = ("The sky scatters short waves more. " * 20)[: ANSWER_BYTES - len(_answer(""))]
ANSWER: Final = _answer(TEXT)
