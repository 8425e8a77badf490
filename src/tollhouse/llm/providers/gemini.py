"""Google's Gemini API, by its OpenAI-compatible endpoint. https://ai.google.dev/gemini-api/docs/openai"""

from typing import Final

from tollhouse.llm.provider import Provider

PROVIDER: Final = Provider(
    name="gemini",
    base_url="https://generativelanguage.googleapis.com/v1beta/openai",
    chat_path="/chat/completions",
    prices="google",
    drops_cookies=True,
    key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    usual_model="gemini-2.5-flash",
)
