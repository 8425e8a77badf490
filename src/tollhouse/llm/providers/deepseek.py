"""DeepSeek. https://api-docs.deepseek.com

Usage comes with the chunk that has the reason, unasked.
"""

from typing import Final

from tollhouse.llm.provider import Provider

PROVIDER: Final = Provider(
    name="deepseek",
    base_url="https://api.deepseek.com",
    chat_path="/chat/completions",
    responses_path="/responses",
    prices="deepseek",
    asks_usage=False,
    key_variables=("DEEPSEEK_API_KEY",),
    usual_model="deepseek-chat",
)
