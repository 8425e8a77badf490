"""The reference page of the settings, written from their declarations."""

from typing import Final

from tollhouse.config.settings import options

_HEAD: Final = """# Settings

<!-- Written by docs/generate.py from src/tollhouse/config/settings.py. Do not edit. -->

A node reads its settings from environment variables when it starts. `TOLLHOUSE_X` may be written for
every `KONG_X` and wins over it. Sizes take `k`, `m` or `g`; times are in seconds or take `ms`, `s`, `m`
or `h`. A wrong value ends the start with every problem listed.
"""


def settings_page() -> str:
    """The page, in Markdown."""
    lines = [_HEAD, "| variable | default | meaning |", "|---|---|---|"]
    for option in options().values():
        names = " or ".join(f"`KONG_{name}`" for name in option.names)
        default = f"`{option.default}`" if option.default else "none"
        lines.append(f"| {names} | {default} | {option.doc} |")
    return "\n".join((*lines, ""))
