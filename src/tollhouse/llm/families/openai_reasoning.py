"""OpenAI's reasoning models.

They refuse `max_tokens` and take `max_completion_tokens`, which counts reasoning as well:
https://platform.openai.com/docs/api-reference/chat/create#chat-create-max_tokens
"""

import re
from typing import Final

from tollhouse.llm.chat import Effort

_NAME: Final = re.compile(r"(?:.*/)?(?:o[1-9]|gpt-5)(?:[.:-].*)?", re.IGNORECASE)


def is_reasoning(model: str) -> bool:
    """Whether this is a model of that family; a prefix such as `openai/` does not matter."""
    return _NAME.fullmatch(model) is not None


def limit_name(model: str) -> str:
    """The name under which the model takes a limit of tokens to write."""
    return "max_completion_tokens" if is_reasoning(model) else "max_tokens"


def effort_for(tokens: int) -> Effort:
    """The effort that comes nearest to a budget of tokens to think with, which these models do not take.
    Budgets of efforts are those of other makers' guides: 1024, 2048, 8192 and 16384."""
    steps: tuple[tuple[int, Effort], ...] = ((0, "none"), (1024, "minimal"), (4096, "low"), (12288, "medium"))
    return next((effort for most, effort in steps if tokens <= most), "high")
