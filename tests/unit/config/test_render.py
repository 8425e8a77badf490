"""Many declarative files made one."""

from pathlib import Path

import pytest

from tollhouse.config.render import render
from tollhouse.errors import ConfigError, ConfigErrors


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def refused(folder: Path) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        render(folder)
    return [str(error).replace(f"{folder}/", "") for error in caught.value.errors]


def test_lists_are_joined_in_the_order_of_files(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        services__b="services: [{name: b, host: h}]",
        services__a='services: [{name: a, host: h}]\n_format_version: "3.0"',
        routes__x="routes: [{name: r, service: b, paths: [/]}]",
        empty="",
    )
    text = render(folder).text
    assert text.startswith("# Made by `tollhouse config render`")
    assert text.index("name: a") < text.index("name: b") < text.index("name: r")
    assert text.count("services:") == 1
    assert render(folder).text == text


def test_the_order_of_kinds_is_parents_first(tmp_path: Path) -> None:
    folder = write(tmp_path, a="plugins: [{name: cors}]", b="services: [{name: a, host: h}]", c="routes: []")
    text = render(folder).text
    assert text.index("services:") < text.index("plugins:")
    assert "routes" not in text


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        (
            "services: [{name: a, host: h}]",
            "services: [{name: b, host: h}, {name: a, host: h}]",
            ["two.yml:1: services[1]: 'a' is declared twice: here and at one.yml:1"],
        ),
        (
            "services: [{name: a, host: h}]",
            "routes:\n- {name: r, paths: [/]}\n- {name: q, service: c, paths: [/]}",
            ["two.yml:3: routes[1].service: there is no 'c' among the services of these files"],
        ),
        (
            "services: [{name: a, host: h, routes: [{name: r, paths: [/]}]}]",
            "routes:\n- {name: r, paths: [/]}",
            ["two.yml:2: routes[0]: 'r' is declared twice: here and at one.yml:1"],
        ),
        (
            "plugins: [{name: cors}]",
            "plugins: [{name: cors}]",
            ["two.yml:1: plugins[0]: 'cors' is declared twice: here and at one.yml:1"],
        ),
        (
            '_format_version: "3.0"',
            '_format_version: "1.1"',
            ["two.yml:1: _format_version: '1.1' here, but '3.0' in one.yml"],
        ),
        ("services: []", "services: {}", ["two.yml:1: services: expected an array"]),
    ],
)
def test_what_cannot_be_joined_is_refused_with_both_places(
    tmp_path: Path, one: str, two: str, expected: list[str]
) -> None:
    assert refused(write(tmp_path, one=one, two=two)) == expected


def test_every_unreadable_file_is_named(tmp_path: Path) -> None:
    write(tmp_path, a="[", b="- a")
    assert len(refused(tmp_path)) == 2


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path) == [f"{tmp_path} holds no .yml, .yaml or .json file"]
    assert refused(tmp_path / "none") == [f"{tmp_path / 'none'} is not a folder"]


def test_errors_in_the_one_file_are_told_where_they_came_from(tmp_path: Path) -> None:
    folder = write(
        tmp_path, a="services:\n- {name: a, host: h}", b="services:\n- name: b\n  host: h\n  retries: x"
    )
    (error,) = render(folder).located([ConfigError("services[1].retries", "expected an integer", 9)])
    assert (error.file, error.line, error.path) == (str(folder / "b.yml"), 4, "services[0].retries")
