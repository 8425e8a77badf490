"""Header fields that belong to the form; its version is a matter of the provider's row.
https://platform.claude.com/docs/en/api/beta-headers"""

from typing import Final

BETA_FIELD: Final = "anthropic-beta"


def merged_betas(*lists: str | None) -> str:
    """The features that several `anthropic-beta` fields ask for, each once, in the order they were named."""
    names = (name.strip() for text in lists if text for name in text.split(","))
    return ",".join(dict.fromkeys(filter(None, names)))
