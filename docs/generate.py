"""Writes docs/reference/ from the code: `python docs/generate.py`."""

from pathlib import Path

from tollhouse.config.reference import settings_page
from tollhouse.plugins import BUNDLED
from tollhouse.plugins.reference import plugin_page

REFERENCE = Path(__file__).parent / "reference"


def pages() -> dict[str, str]:
    """Every generated page by its path in the folder."""
    plugins = {f"plugins/{name}.md": plugin_page(name) for name in BUNDLED}
    return {"settings.md": settings_page(), **plugins}


if __name__ == "__main__":
    for name, text in pages().items():
        path = REFERENCE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
