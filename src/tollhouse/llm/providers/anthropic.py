"""Anthropic, in its own form; an upstream URL that ends in `/chat/completions` is its endpoint for clients
of OpenAI's. https://platform.claude.com/docs/en/api/overview"""

from typing import Final

from tollhouse.llm.provider import Provider


def x_api_key(key: str) -> tuple[str, str]:
    return "x-api-key", key


PROVIDER: Final = Provider(
    name="anthropic",
    base_url="https://api.anthropic.com",
    form="anthropic_messages",
    chat_path="/v1/messages",
    key=x_api_key,
    # The version that every server of this form knows; `anthropic_version` in the settings goes before it.
    headers=(("anthropic-version", "2023-06-01"),),
    prices="anthropic",
    key_variables=("ANTHROPIC_API_KEY",),
    usual_model="claude-haiku-4-5",
)
