"""Cohere, in its own form; its endpoint for clients of OpenAI's is below `/compatibility/v1`.
https://docs.cohere.com/v2/reference/chat"""

from typing import Final

from tollhouse.llm.provider import Provider

PROVIDER: Final = Provider(
    name="cohere",
    base_url="https://api.cohere.com",
    form="cohere_chat",
    chat_path="/v2/chat",
    prices="cohere",
    key_variables=("CO_API_KEY", "COHERE_API_KEY"),
    usual_model="command-r7b-12-2024",
)
