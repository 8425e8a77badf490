"""A gateway to a server that plays the providers: what clients can do there, and what they must see."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
from tests.support.gateway import Gateway
from tests.support.models import ModelServer, replay
from tests.support.recordings import Recording, recording, recordings
from tests.support.sdks.anthropic_messages import AnthropicMessages
from tests.support.sdks.bedrock import BedrockConverse
from tests.support.sdks.cohere_chat import CohereChat
from tests.support.sdks.google_genai import GoogleGenai
from tests.support.sdks.ollama_chat import OllamaChat
from tests.support.sdks.openai_chat import OpenAiChat
from tests.support.sdks.openai_responses import OpenAiResponses
from tests.support.sdks.seen import CLIENT_KEY, Client, Seen

from tollhouse.llm.provider import FormName

SDKS: Final[dict[FormName, Callable[[str], Client]]] = {
    "openai_chat": OpenAiChat,
    "openai_responses": OpenAiResponses,
    "anthropic_messages": AnthropicMessages,
    "gemini": GoogleGenai,
    "bedrock_converse": BedrockConverse,
    "cohere_chat": CohereChat,
    "ollama_chat": OllamaChat,
}
#: forms by what was called when a recording was made
ENDPOINTS: Final[dict[str, FormName]] = {
    "chat.completions": "openai_chat",
    "responses": "openai_responses",
    "messages": "anthropic_messages",
    "generateContent": "gemini",
    "streamGenerateContent": "gemini",
    "converse": "bedrock_converse",
    "converse-stream": "bedrock_converse",
    "cohere.chat": "cohere_chat",
    "ollama.chat": "ollama_chat",
}
#: a provider of each form, where its model is called, and how it is streamed
FORMS: Final[dict[FormName, tuple[str, str, str]]] = {
    "openai_chat": ("openai", "gpt-4.1", "/v1/chat/completions"),
    "openai_responses": ("openai", "gpt-4.1", "/v1/responses"),
    "anthropic_messages": ("anthropic", "claude-opus-4-6", "/v1/messages"),
    "gemini": ("gemini", "gemini-2.5-flash", "/v1beta/models/gemini-2.5-flash:generateContent"),
    "bedrock_converse": (
        "bedrock",
        "anthropic.claude-haiku-4-5-v1:0",
        "/model/anthropic.claude-haiku-4-5-v1%3A0/converse",
    ),
    "cohere_chat": ("cohere", "command-a-03-2025", "/v2/chat"),
    "ollama_chat": ("ollama", "llama3.2", "/api/chat"),
}
#: `llm_format` of clients
FORMATS: Final[dict[FormName, str]] = {
    "openai_chat": "openai",
    "openai_responses": "openai",
    "anthropic_messages": "anthropic",
    "gemini": "gemini",
    "bedrock_converse": "bedrock",
    "cohere_chat": "cohere",
    "ollama_chat": "ollama",
}
#: providers that the gateway knows by the names of recordings
_KNOWN: Final = ("openai", "anthropic", "gemini", "bedrock", "cohere", "groq", "mistral", "deepseek", "xai")
_SPEAKING_SO: Final = {"vertex": "gemini", "azure": "azure", "openai-responses": "openai"}
PROVIDERS: Final = (*_KNOWN, "azure", "ollama", "openrouter", "together")
PROVIDER_KEY: Final = "key-of-the-gateway"
#: OpenAI's form, but an error in place of an answer
_NO_ANSWER: Final = "azure/chat-refusal-openllmetry-testing"
#: an answer that was to be asked for again: no other form has that
_NOT_YET: Final = "openai-responses/responses-text-gpt-4o"
#: what is shown to the application as an error in its stream
BROKEN: Final = (
    "groq/chat-error-in-stream-gpt-oss-120b",
    "openai-compatible/chat-error-in-stream-minimax-m2-free",
)
ANSWERS: Final = tuple(
    stored.name
    for stored in recordings(*ENDPOINTS)
    if stored.status == 200 and stored.name not in (_NO_ANSWER, _NOT_YET, *BROKEN)
)
#: an answer and a stream of each form, most of them with calls
SOME: Final = (
    "openai/chat-parallel-tools-gpt-4.1-nano",
    "openai/chat-stream-include-usage-gpt-4o-mini",
    "anthropic/messages-text-claude-opus-4-6",
    "anthropic/messages-stream-parallel-tools-claude-3-5-sonnet-20240620",
    "gemini/generate-parallel-tools-gemini-3-flash-preview",
    "gemini/generate-stream-text-gemini-2.0-flash-exp",
    "bedrock/converse-text-qwen.qwen3-32b-v1",
    "bedrock/converse-stream-parallel-tools-amazon.nova-micro-v1",
    "cohere/chat-tool-call-command-a-plus-05-2026",
    "cohere/chat-stream-parallel-tools",
    "ollama/api-chat-text-llama3",
    "ollama/api-chat-stream-tool-call-llama3.2",
    "mistral/chat-parallel-tools-mistral-small-latest",
    "mistral/chat-stream-tool-call",
    "groq/chat-stream-tool-call",
)


def config(url: str) -> str:
    """Everything at `/`, the same behind a key at `/guarded` and behind a limit at `/limited`, and each
    pair of forms at `/proxy/CLIENT/PROVIDER` by ai-proxy."""
    providers = "".join(f"- {{name: {name}, base_url: '{url}', key: {PROVIDER_KEY}}}\n" for name in PROVIDERS)
    gateway = "- name: ai-gateway\n  config:\n    providers:\n" + _indented(providers, 4)
    names = "apikey, authorization, x-api-key, x-goog-api-key"
    guard = f"- {{name: key-auth, config: {{key_names: [{names}]}}}}\n"
    limit = "- {name: rate-limiting, config: {year: 1, policy: local, limit_by: service}}\n"
    services = (
        _service("all", "/", gateway),
        _service("guarded", "/guarded", gateway + guard),
        _service("limited", "/limited", gateway + limit),
        *(_proxy(url, client, form) for client in FORMS for form in FORMS),
    )
    return '_format_version: "3.0"\nservices:\n' + "".join(services)


def _service(name: str, path: str, plugins: str) -> str:
    return (
        f"- name: {name}\n  url: http://127.0.0.1:1\n  retries: 0\n"
        f"  routes: [{{name: {name}, paths: [{path}]}}]\n  plugins:\n" + _indented(plugins, 2)
    )


def _proxy(url: str, client: FormName, form: FormName) -> str:
    provider, model, path = FORMS[form]
    route_type = "llm/v1/responses" if client == "openai_responses" else "llm/v1/chat"
    version = ", anthropic_version: '2023-06-01'" if provider == "anthropic" else ""
    plugin = f"""- name: ai-proxy
  config:
    route_type: {route_type}
    llm_format: {FORMATS[client]}
    auth: {{allow_override: false}}
    max_request_body_size: 1000000
    model:
      provider: {provider}
      name: '{model}'
      options: {{upstream_url: '{url}{path}'{version}}}
"""
    return _service(f"{client}-{form}", f"/proxy/{client}/{form}", plugin)


def _indented(text: str, by: int) -> str:
    return "".join(f"{' ' * by}{line}\n" for line in text.splitlines())


def form_of(stored: Recording) -> FormName:
    return ENDPOINTS[stored.endpoint]


def provider_of(stored: Recording) -> str:
    """Who is asked for it through the gateway."""
    if stored.endpoint == "ollama.chat":
        return "ollama"
    name = _SPEAKING_SO.get(stored.provider, stored.provider)
    return name if name in PROVIDERS and name != "ollama" else "openrouter"


def model_for(stored: Recording) -> str:
    """A model that the provider has, so that what its family takes is known."""
    form = form_of(stored)
    return FORMS[form][1] if form in ("anthropic_messages", "bedrock_converse", "gemini") else "some-model"


def as_client_sees(seen: Seen, stored: Recording, client: FormName) -> Seen:
    """What the provider's own SDK saw, but for what the client's form tells otherwise."""
    form = form_of(stored)
    if stored.provider == "xai" and form == "openai_chat" != client:
        # xAI does not count thoughts in what it wrote.
        thought = stored_usage(stored)["completion_tokens_details"]["reasoning_tokens"]
        seen = replace(seen, completion_tokens=(seen.completion_tokens or 0) + thought)
    if client == "ollama_chat" and seen.reason == "content_filter":
        seen = replace(seen, reason="stop")  # it has no reason for that
    return seen


def stored_usage(stored: Recording) -> Any:
    """The last usage that a recording in OpenAI's form tells."""
    parts = stored.content.split(b"data: ") if stored.streamed else [stored.content]
    told = [msgspec.json.decode(part) for part in parts if part.lstrip().startswith(b"{")]
    return [body["usage"] for body in told if body.get("usage")][-1]


@dataclass(slots=True)
class Site:
    """The server, the gateway before it, and SDKs pointed at either."""

    node: Gateway
    models: ModelServer
    clients: dict[tuple[FormName, str], Client]

    @property
    def url(self) -> str:
        host, port = self.node.proxy
        return f"http://{host}:{port}"

    def client(self, form: FormName, base: str = "") -> Client:
        """An SDK that is pointed at the gateway, or at any other address."""
        url = base if base.startswith("http") else self.url + base
        found = self.clients.get((form, url))
        if found is None:
            found = self.clients[form, url] = SDKS[form](url)
        return found

    async def compare(self, client: FormName, name: str) -> None:
        """What an application reads of a recorded answer is what the provider's own SDK reads of it."""
        stored = recording(name)
        form = form_of(stored)
        base, model = "", f"{provider_of(stored)}/{model_for(stored)}"
        if "openai_responses" in (client, form) and client != form:
            base, model = f"/proxy/{client}/{form}", FORMS[form][1]
        truth, seen = await self._both(self.client(client, base), model, stored)

        expected = as_client_sees(truth, stored, client)
        if truth.prompt_tokens is None:
            seen = replace(seen, prompt_tokens=None, completion_tokens=None)
        assert seen == expected

    async def compare_compatible(self, client: Client, name: str) -> None:
        """The same for an SDK of somebody who speaks OpenAI's form. Thoughts, which are not in it, and
        usage, for which they may not ask, are read where they are told."""
        stored = recording(name)
        truth, seen = await self._both(client, f"{provider_of(stored)}/{model_for(stored)}", stored)

        if None in (seen.prompt_tokens, truth.prompt_tokens):
            seen, truth = (replace(s, prompt_tokens=None, completion_tokens=None) for s in (seen, truth))
        assert replace(seen, thinking="") == replace(truth, thinking="")

    async def _both(self, client: Client, model: str, stored: Recording) -> tuple[Seen, Seen]:
        """What the provider's own SDK sees, and what the client sees through the gateway."""
        self.models.play = replay(stored)
        own = self.client(form_of(stored), self.models.url)
        truth = await asyncio.to_thread(own.ask, "m", stream=stored.streamed)
        self.models.received.clear()
        seen = await asyncio.to_thread(client.ask, model, stream=stored.streamed)
        assert_no_client_key(self.models)
        return truth, seen

    def close(self) -> None:
        for client in self.clients.values():
            client.close()


def assert_no_client_key(models: ModelServer) -> None:
    (received,) = models.received
    shown = f"{received.target} {received.fields}".lower()
    assert CLIENT_KEY not in shown
    assert "the-client-s-own" not in shown
