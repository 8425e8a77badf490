"""Kong's name for self-hosted models; `llama2_format` says what their server speaks."""

from typing import Final

from tollhouse.llm.provider import Provider

PROVIDER: Final = Provider(name="llama2", completions_path="/v1/completions", key=None, invents_id=False)
