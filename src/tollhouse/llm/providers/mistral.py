"""Mistral AI. https://docs.mistral.ai/api

Usage always comes with the last chunk; some of its deployments refuse `stream_options`.
"""

from typing import Final

from tollhouse.llm.families.mistral import call_id
from tollhouse.llm.provider import Provider

PROVIDER: Final = Provider(
    name="mistral",
    base_url="https://api.mistral.ai",
    prices="mistral",
    asks_usage=False,
    drops_cookies=True,
    invents_id=False,
    renames=(("seed", "random_seed"), ("max_completion_tokens", "max_tokens")),
    call_id=call_id,
    key_variables=("MISTRAL_API_KEY",),
    usual_model="mistral-small-latest",
)
