"""OpenAI's reasoning models.

They refuse `max_tokens` and take `max_completion_tokens`, which counts reasoning as well:
https://platform.openai.com/docs/api-reference/chat/create#chat-create-max_tokens
"""

import re
from typing import Final

_NAME: Final = re.compile(r"(?:.*/)?(?:o[1-9]|gpt-5)(?:[.:-].*)?", re.IGNORECASE)


def is_reasoning(model: str) -> bool:
    """Whether this is a model of that family; a prefix such as `openai/` does not matter."""
    return _NAME.fullmatch(model) is not None


def limit_name(model: str) -> str:
    """The name under which the model takes a limit of tokens to write."""
    return "max_completion_tokens" if is_reasoning(model) else "max_tokens"
