"""Google's Gemini API. https://ai.google.dev/api

Its OpenAI-compatible endpoint is used where an upstream URL says so, with the key as a bearer:
https://generativelanguage.googleapis.com/v1beta/openai/chat/completions.
"""

from typing import Final

from tollhouse.llm.provider import Provider


def _key(key: str) -> tuple[str, str]:
    return "x-goog-api-key", key


PROVIDER: Final = Provider(
    name="gemini",
    base_url="https://generativelanguage.googleapis.com",
    form="gemini",
    chat_path="/v1beta/models/{model}:generateContent",
    # Without `alt=sse` the stream is one JSON array.
    stream_path="/v1beta/models/{model}:streamGenerateContent?alt=sse",
    # The second is Vertex AI's. Kong speaks Google's own form whatever an address ends in.
    compatible_paths=("/openai/chat/completions", "/openapi/chat/completions"),
    key=_key,
    prices="google",
    drops_cookies=True,
    key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    usual_model="gemini-2.5-flash",
)
