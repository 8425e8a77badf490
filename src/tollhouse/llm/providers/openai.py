"""OpenAI. https://platform.openai.com/docs/api-reference"""

from typing import Final

from tollhouse.llm.provider import Provider

PROVIDER: Final = Provider(
    name="openai",
    base_url="https://api.openai.com",
    completions_path="/v1/completions",
    responses_path="/v1/responses",
    prices="openai",
    refuses=frozenset({"top_k"}),
    drops_cookies=True,
    asks_gzip=True,
    key_variables=("OPENAI_API_KEY",),
    usual_model="gpt-4o-mini",
)
