"""Hugging Face's router to many providers, in OpenAI's form; `model:provider` chooses one of them.
https://huggingface.co/docs/inference-providers

Kong's default is the former `api-inference.huggingface.co/models/…`, which chats no longer. A dedicated
endpoint is named by an upstream URL, as in Kong: its chats are below it, completions go to the endpoint
itself, in the form of text-generation-inference.
"""

from typing import Final

from tollhouse.llm.provider import Provider

PROVIDER: Final = Provider(
    name="huggingface",
    base_url="https://router.huggingface.co",
    # No variables: HF_TOKEN is there for downloads nearly everywhere, and meant for nothing else.
    usual_model="openai/gpt-oss-20b",
)
