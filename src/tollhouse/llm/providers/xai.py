"""xAI. https://docs.x.ai/docs/api-reference"""

from typing import Final

from tollhouse.llm.provider import Provider

PROVIDER: Final = Provider(
    name="xai",
    base_url="https://api.x.ai",
    responses_path="/v1/responses",
    prices="x-ai",
    key_variables=("XAI_API_KEY",),
    usual_model="grok-4-fast",
)
