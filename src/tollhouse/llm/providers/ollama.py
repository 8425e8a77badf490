"""Ollama on its default port. https://docs.ollama.com/api"""

from typing import Final

from tollhouse.llm.provider import Provider

PROVIDER: Final = Provider(
    name="ollama",
    base_url="http://127.0.0.1:11434",
    form="ollama_chat",
    chat_path="/api/chat",
    key=None,
    free=True,
)
