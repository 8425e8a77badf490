"""OpenRouter. https://openrouter.ai/docs/api-reference"""

from typing import Final

from tollhouse.llm.provider import Provider

PROVIDER: Final = Provider(
    name="openrouter",
    base_url="https://openrouter.ai/api",
    completions_path="/v1/completions",
    responses_path="/v1/responses",
    prices="openrouter",
    key_variables=("OPENROUTER_API_KEY",),
    usual_model="openai/gpt-4o-mini",
)
