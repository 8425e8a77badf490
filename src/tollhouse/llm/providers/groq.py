"""Groq. https://console.groq.com/docs/api-reference

Usage comes with the last chunk, unasked, as `x_groq.usage`.
"""

from typing import Final

from tollhouse.llm.provider import Provider

PROVIDER: Final = Provider(
    name="groq",
    base_url="https://api.groq.com/openai",
    responses_path="/v1/responses",
    prices="groq",
    asks_usage=False,
    key_variables=("GROQ_API_KEY",),
    usual_model="llama-3.1-8b-instant",
)
