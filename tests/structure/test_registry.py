"""What the repository promises about plugins, causes and settings, read from the repository itself."""

from pathlib import Path
from runpy import run_path

import pytest

from tollhouse.config.reference import settings_page
from tollhouse.config.settings import options
from tollhouse.errors import STATUS, Cause
from tollhouse.plugins import BUNDLED, Registry

ROOT = Path(__file__).parents[2]
PLUGINS = ROOT / "src" / "tollhouse" / "plugins"
TESTS = ROOT / "tests"


def modules() -> set[str]:
    files = {path.stem for path in PLUGINS.glob("*.py")}
    folders = {path.parent.name for path in PLUGINS.glob("*/__init__.py")}
    return (files | folders) - {"__init__", "reference"}  # which writes their pages


def test_every_plugin_is_a_module_and_every_module_a_plugin() -> None:
    assert {name.replace("-", "_") for name in BUNDLED} == modules()
    assert all(place.partition(":")[0] == name.replace("-", "_") for name, place in BUNDLED.items())


@pytest.mark.parametrize("name", sorted(BUNDLED))
def test_a_plugin_says_who_it_is(name: str) -> None:
    plugin = Registry().plugin_class(name)
    assert plugin is not None
    assert plugin.name == name
    assert isinstance(plugin.priority, int)
    assert plugin.__doc__ is None or plugin.__doc__.strip()


@pytest.mark.parametrize("name", sorted(BUNDLED))
def test_a_plugin_has_tests(name: str) -> None:
    stem = name.replace("-", "_")
    files = [*TESTS.rglob(f"test_{stem}*.py"), *TESTS.rglob(f"{stem}/test_*.py")]
    assert files, f"no tests/**/test_{stem}*.py"


def test_priorities_are_kongs() -> None:
    """Order inside a phase decides what a request meets first."""
    kong = {
        "correlation-id": 100001,
        "bot-detection": 2500,
        "cors": 2000,
        "session": 1900,
        "mtls-auth": 1600,
        "jwt": 1450,
        "key-auth": 1250,
        "basic-auth": 1100,
        "openid-connect": 1050,
        "hmac-auth": 1030,
        "ip-restriction": 990,
        "request-size-limiting": 951,
        "acl": 950,
        "rate-limiting": 910,
        "response-ratelimiting": 900,
        "prometheus": 13,
        "file-log": 9,
        "request-termination": 2,
    }
    registry = Registry()
    ours = {name: cls.priority for name in kong if (cls := registry.plugin_class(name)) is not None}
    assert ours == kong


def test_every_cause_has_a_status_between_500_and_504() -> None:
    assert set(STATUS) == set(Cause)
    assert all(500 <= status <= 504 for status in STATUS.values())


def test_generated_pages_are_current() -> None:
    pages = run_path(str(ROOT / "docs" / "generate.py"))["pages"]()
    folder = ROOT / "docs" / "reference"
    written = {str(path.relative_to(folder)) for path in folder.rglob("*.md")}
    assert set(pages) <= written, "run `python docs/generate.py`"
    for name, text in pages.items():
        assert (folder / name).read_text(encoding="utf-8") == text, f"{name}: run `python docs/generate.py`"


def test_every_setting_is_explained() -> None:
    page = settings_page()
    for name, option in options().items():
        assert option.doc.endswith("."), name
        assert f"`KONG_{option.names[0] if option.names else name.upper()}`" in page
