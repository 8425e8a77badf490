"""Header fields that belong to the form. https://platform.claude.com/docs/en/api/versioning"""

from typing import Final

VERSION_FIELD: Final = "anthropic-version"
#: what every server of this form takes; the newest one is only for those who ask for it
VERSION: Final = "2023-06-01"
BETA_FIELD: Final = "anthropic-beta"


def merged_betas(*lists: str | None) -> str:
    """The features that several `anthropic-beta` fields ask for, each once, in the order they were named.
    https://platform.claude.com/docs/en/api/beta-headers"""
    names = (name.strip() for text in lists if text for name in text.split(","))
    return ",".join(dict.fromkeys(filter(None, names)))
