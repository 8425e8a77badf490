"""Together AI. https://docs.together.ai/reference"""

from typing import Final

from tollhouse.llm.provider import Provider

PROVIDER: Final = Provider(
    name="together",
    base_url="https://api.together.xyz",
    completions_path="/v1/completions",
    prices="together",
    key_variables=("TOGETHER_API_KEY",),
    usual_model="meta-llama/Llama-3.3-70B-Instruct-Turbo",
)
