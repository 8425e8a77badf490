"""Anthropic, by its OpenAI-compatible endpoint. https://docs.claude.com/en/api/openai-sdk"""

from typing import Final

from tollhouse.llm.provider import Provider

PROVIDER: Final = Provider(
    name="anthropic",
    base_url="https://api.anthropic.com",
    prices="anthropic",
    key_variables=("ANTHROPIC_API_KEY",),
    usual_model="claude-haiku-4-5",
)
