"""The configurations of `tests/data/acceptance`, with local servers in place of the remote hosts."""

from collections.abc import Mapping
from pathlib import Path

FILES = Path(__file__).parents[1] / "data" / "acceptance"


def localised(text: str, places: Mapping[str, str]) -> str:
    """The text with other addresses; nothing else of it changes. Each one has to be there."""
    for remote, local in places.items():
        assert remote in text, remote
        text = text.replace(remote, local)
    return text
