"""Signatures of thoughts on calls, where Google's own endpoint for OpenAI's form has them.

A client that returns its calls unchanged returns them too, and Gemini models from 3 on refuse calls
without: https://ai.google.dev/gemini-api/docs/thought-signatures#openai
"""

from typing import Any, Final

MEMBER: Final = "extra_content"


def signature_in(extra_content: Any) -> str | None:
    match extra_content:
        case {"google": {"thought_signature": str(signature)}}:
            return signature
        case _:
            return None


def signed(signature: str | None) -> dict[str, Any]:
    """Members of a call for a client."""
    return {MEMBER: {"google": {"thought_signature": signature}}} if signature else {}
