"""The requests that the quickstart sends, and the table of what became of them."""

import http.client
import json
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

KEY: Final = "quickstart-key"
CHAT_PATH: Final = "/v1/chat/completions"
_QUESTION: Final = "In one sentence: what does a toll house do?"
#: more than one minute's allowance of the example
_ENOUGH: Final = 12
_SAMPLE: Final = re.compile(r"^kong_ai_llm_(cost|tokens)_total\{(.*)\} (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the table. Latency in ms; tokens as prompt and completion; cost in USD."""

    request: str
    status: int
    latency_ms: float
    why: str
    tokens: tuple[int, int] | None = None
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes
    latency_ms: float
    #: of a stream: ms until the first event, and the events
    first_ms: float = 0.0
    events: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.body)
        return content

    @property
    def message(self) -> str:
        """What an error says."""
        try:
            content = self.json()
        except ValueError:
            return self.body.decode(errors="replace")[:80]
        error = content.get("error")
        return str(content.get("message") or (error.get("message") if isinstance(error, dict) else error))


class Tour:
    """Sends the example's requests to a gateway. Addresses are host and port."""

    def __init__(self, proxy: tuple[str, int], admin: tuple[str, int]) -> None:
        self._proxy = proxy
        self._admin = admin

    def events(self) -> Iterator[Event]:
        """One after the other, so that each can be shown when it has come."""
        yield self._order()
        yield self._without_key()
        yield self._chat()
        yield self._streamed_chat()
        yield self._limit()

    def _order(self) -> Event:
        answer = self._send("GET", "/orders/42")
        why = self._why(answer, f"the service answered {answer.body.decode()}")
        return Event("GET /orders/42", answer.status, answer.latency_ms, why)

    def _without_key(self) -> Event:
        answer = self._send("GET", "/orders/42", key=None)
        return Event("GET /orders/42 without a key", answer.status, answer.latency_ms, answer.message)

    def _chat(self) -> Event:
        before = self._cost()
        answer = self._send("POST", CHAT_PATH, self._question())
        if answer.status != 200:
            return Event("chat", answer.status, answer.latency_ms, answer.message)
        content = answer.json()
        said = content["choices"][0]["message"]["content"]
        why = f"{answer.headers['X-Kong-LLM-Model']} said: {_cut(said)}"
        return Event("chat", 200, answer.latency_ms, why, _tokens(content["usage"]), self._cost() - before)

    def _streamed_chat(self) -> Event:
        before = self._cost()
        more = {"stream": True, "stream_options": {"include_usage": True}}
        answer = self._send("POST", CHAT_PATH, self._question(**more))
        if answer.status != 200:
            return Event("chat, streamed", answer.status, answer.latency_ms, answer.message)
        chunks = [json.loads(event) for event in answer.events if event != "[DONE]"]
        deltas = [choice["delta"].get("content") for chunk in chunks for choice in chunk["choices"]]
        usage = next((chunk["usage"] for chunk in reversed(chunks) if chunk.get("usage")), None)
        said = _cut("".join(filter(None, deltas)))
        why = f"first of {len(chunks)} chunks after {answer.first_ms:.0f} ms; said: {said}"
        tokens = _tokens(usage) if usage else None
        return Event("chat, streamed", 200, answer.latency_ms, why, tokens, self._cost() - before)

    def _limit(self) -> Event:
        answer = self._send("GET", "/orders/42")
        for _ in range(_ENOUGH):
            if answer.status == 200:
                answer = self._send("GET", "/orders/42")
        wait = answer.headers["Retry-After"]
        why = "no limit was met" if wait is None else f"{answer.message}: 5 a minute; again in {wait} s"
        return Event("GET /orders/42 until refused", answer.status, answer.latency_ms, why)

    def _why(self, answer: _Answer, well: str) -> str:
        return well if answer.status < 400 else answer.message

    def _question(self, **more: object) -> bytes:
        messages = [{"role": "user", "content": _QUESTION}]
        return json.dumps({"messages": messages, "temperature": 0, **more}).encode()

    def _send(self, method: str, path: str, body: bytes | None = None, key: str | None = KEY) -> _Answer:
        headers = {"apikey": key} if key is not None else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection(*self._proxy, timeout=120)
        try:
            started = time.perf_counter()
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            first_ms, events = 0.0, []
            content = b""
            if (response.headers["Content-Type"] or "").startswith("text/event-stream"):
                for line in response:
                    first_ms = first_ms or (time.perf_counter() - started) * 1000
                    if line.startswith(b"data:"):
                        events.append(line.removeprefix(b"data:").strip().decode())
            else:
                content = response.read()
            latency_ms = (time.perf_counter() - started) * 1000
            return _Answer(response.status, response.headers, content, latency_ms, first_ms, tuple(events))
        finally:
            connection.close()

    # What the node has counted

    def _cost(self) -> float:
        return sum(value for kind, _, value in self._samples() if kind == "cost")

    def totals(self) -> str:
        """What `GET /metrics` says of all of it."""
        samples = list(self._samples())
        cost = sum(value for kind, _, value in samples if kind == "cost")
        tokens = {"prompt_tokens": 0.0, "completion_tokens": 0.0}
        for kind, labels, value in samples:
            for name in tokens:
                if kind == "tokens" and f'token_type="{name}"' in labels:
                    tokens[name] += value
        prompt, completion = tokens.values()
        return f"GET /metrics counts {prompt:.0f} tokens in, {completion:.0f} out, {usd(cost)}"

    def _samples(self) -> Iterator[tuple[str, str, float]]:
        connection = http.client.HTTPConnection(*self._admin, timeout=10)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        finally:
            connection.close()
        for kind, labels, value in _SAMPLE.findall(text):
            yield kind, labels, float(value)


def table(events: Iterable[Event]) -> Iterator[str]:
    """The lines of the table."""
    yield _line("REQUEST", "STATUS", "LATENCY", "IN + OUT", "COST", "WHAT HAPPENED, AND WHY")
    for event in events:
        tokens = "" if event.tokens is None else "{} + {}".format(*event.tokens)
        cost = "" if event.cost_usd is None else usd(event.cost_usd)
        yield _line(event.request, str(event.status), f"{event.latency_ms:.1f} ms", tokens, cost, event.why)


def usd(amount: float) -> str:
    """An amount in USD, to the hundredth of a millionth."""
    return f"${amount:.8f}"


def _line(request: str, status: str, latency: str, tokens: str, cost: str, why: str) -> str:
    return f"{request:<31}{status:>6}  {latency:>10}  {tokens:>8}  {cost:>11}  {why}"


def _cut(text: str, characters: int = 60) -> str:
    text = " ".join(text.split())
    return text if len(text) <= characters else text[: characters - 1] + "…"


def _tokens(usage: dict[str, Any]) -> tuple[int, int]:
    return usage["prompt_tokens"], usage["completion_tokens"]
