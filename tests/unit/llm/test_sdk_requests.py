"""What real SDKs and frameworks sent, between every two forms: understood, or refused by a field's name."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from tollhouse.llm.conformity import FORM_NAMES
from tollhouse.llm.dialogue import FORMS
from tollhouse.llm.form import Refusal, Told
from tollhouse.llm.formats.openai_chat.forward import Members
from tollhouse.llm.provider import FormName
from tollhouse.llm.providers import PROVIDERS
from tollhouse.llm.recognise import Asked, recognised
from tollhouse.llm.translation import Translation

FOLDER: Final = Path(__file__).parents[2] / "data" / "sdk-requests"
MODELS: Final[dict[FormName, tuple[str, str]]] = {
    "openai_chat": ("openai", "gpt-4o"),
    "openai_responses": ("openai", "gpt-5"),
    "anthropic_messages": ("anthropic", "claude-sonnet-4-5"),
    "gemini": ("gemini", "gemini-2.5-flash"),
    "bedrock_converse": ("bedrock", "anthropic.claude-sonnet-4-5-v1:0"),
    "ollama_chat": ("ollama", "llama3"),
    "cohere_chat": ("cohere", "command-a-03-2025"),
}


@dataclass(frozen=True)
class Fired:
    """A request that arrived."""

    name: str
    path: str
    body: Any
    asked: Asked | None

    @property
    def content(self) -> bytes:
        return msgspec.json.encode(self.body)


def fired(path: Path) -> Fired:
    request = msgspec.json.decode(path.read_bytes())["request"]
    target = request["path"].partition("?")[0]
    return Fired(path.stem, target, request["body"], recognised(target))


ALL: Final = [fired(path) for path in sorted(FOLDER.glob("*.json"))]
CHATS: Final = [one for one in ALL if one.asked is not None and one.asked.operation == "chat"]
#: frameworks that send somewhere else than the providers' own paths; the route's settings tell their form
ELSEWHERE: Final = {"ai-sdk-cohere-chat"}
#: what a provider of that form has nothing for; all else is understood
CANNOT: Final[dict[FormName, re.Pattern[str]]] = {
    "openai_chat": re.compile("top_k"),
    "openai_responses": re.compile("top_k|stop|seed"),
    "anthropic_messages": re.compile("seed|top_p"),
    "bedrock_converse": re.compile("seed|top_p"),
    "ollama_chat": re.compile("tool_choice"),
    "gemini": re.compile("nothing"),
    "cohere_chat": re.compile("nothing"),
}


def test_every_request_is_recognised_by_its_path() -> None:
    assert {one.name for one in ALL if one.asked is None} <= ELSEWHERE
    assert len(ALL) > 120


def told_to(translation: Translation, members: Members, told: Told, model: str) -> bytes | str:
    """What the provider is sent, or why it is not."""
    try:
        return translation.request(members, told, model=model, stream=told.stream).content
    except Refusal as refusal:
        return refusal.message if refusal.status == 400 else "another status"


@pytest.mark.parametrize("provider", FORM_NAMES)
@pytest.mark.parametrize("one", CHATS, ids=[one.name for one in CHATS])
def test_a_chat_is_understood_for_every_provider(one: Fired, provider: FormName) -> None:
    assert one.asked is not None
    client, told = FORMS[one.asked.form], one.asked.told
    name, model = MODELS[provider]
    translation = Translation(
        client, FORMS[provider], PROVIDERS[name], None, compatible=provider == "openai_chat", drops=False
    )
    members = msgspec.json.decode(one.content, type=dict[str, msgspec.Raw])
    if one.asked.on_vertex:
        members["model"] = msgspec.Raw(b'"claude"')
    content = told_to(translation, members, told, model)
    if isinstance(content, str):
        assert CANNOT[provider].search(content)
        return

    again = FORMS[provider].decode_request(content)
    first = client.decode_request(msgspec.json.encode(members), told)
    said = [part for message in first.messages for part in message.parts]
    assert sum(len(message.parts) for message in again.messages) >= len(said) - 1  # texts may be joined
    assert len(again.tools) == len(first.tools)


@pytest.mark.parametrize("one", CHATS, ids=[one.name for one in CHATS])
def test_a_chat_is_understood_in_its_own_form(one: Fired) -> None:
    assert one.asked is not None
    if one.asked.on_vertex:
        return
    form, told = FORMS[one.asked.form], one.asked.told
    first = form.decode_request(one.content, told)

    again = form.decode_request(msgspec.json.encode(form.encode_request(first, [])), told)

    assert (again.messages, again.tools, again.options) == (first.messages, first.tools, first.options)
    assert (again.tool_choice, again.response_format) == (first.tool_choice, first.response_format)
