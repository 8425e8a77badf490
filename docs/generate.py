"""Writes docs/reference/ from the code: `python docs/generate.py`."""

from pathlib import Path

from tollhouse.config.reference import settings_page

REFERENCE = Path(__file__).parent / "reference"


def pages() -> dict[str, str]:
    """Every generated page by its file name."""
    return {"settings.md": settings_page()}


if __name__ == "__main__":
    REFERENCE.mkdir(exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")
