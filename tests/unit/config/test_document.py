from typing import Any

import pytest

from tollhouse.config.document import check_top_level, located, modern_paths, parse
from tollhouse.config.refusal import Problems, Refused


@pytest.mark.parametrize(
    ("text", "file", "problem"),
    [
        ("just text", None, "expected an object"),
        ("- a", None, "expected an object"),
        ("", None, "expected an object"),
        ("a: [", "kong.yml", "2:1: did not find expected node content"),
        ('{"a": 1,}', "kong.json", "JSON is malformed: trailing comma in object (byte 8)"),
        ("\ud800", None, "the text is not valid Unicode"),
        ('{"a":' * 100_000, None, "nested too deeply"),
    ],
)
def test_a_text_that_holds_no_map_is_refused(text: str, file: str | None, problem: str) -> None:
    with pytest.raises(Refused) as caught:
        parse(text, file)
    told = f"failed parsing declarative configuration: {problem}"
    assert caught.value.fields == {"error": told}
    assert caught.value.errors[0].message == told
    assert caught.value.document is None


def test_a_syntax_error_has_its_line() -> None:
    with pytest.raises(Refused) as caught:
        parse("a: 1\nb: [", "kong.yml")
    assert (caught.value.errors[0].line, caught.value.errors[0].file) == (3, "kong.yml")


def test_braces_are_json_or_a_flow_map() -> None:
    assert parse('{"a": 1}', None) == {"a": 1}
    assert parse("{a: on}", None) == {"a": True}


def test_a_byte_order_mark_does_no_harm() -> None:
    assert parse("\ufeffa: 1", None) == {"a": 1}


@pytest.mark.parametrize(
    ("document", "fields"),
    [
        ({}, {"_format_version": "required field missing"}),
        ({"_format_version": None}, {"_format_version": "required field missing"}),
        ({"_format_version": 3.0}, {"_format_version": "expected a string"}),
        ({"_format_version": "9.0"}, {"_format_version": "expected one of: 1.1, 2.1, 3.0"}),
        ({"_format_version": "3.0", "servicess": []}, {"servicess": "unknown field"}),
        ({"_format_version": "3.0", "_ignore": 5}, {"_ignore": "expected an array"}),
        ({"_format_version": "3.0", "_info": []}, {"_info": "expected a record"}),
        (
            {"_format_version": "3.0", "licenses": [{}]},
            {"licenses": "'licenses' is not supported yet by this version of Tollhouse"},
        ),
        ({"_format_version": "3.0", "vaults": [], "_comment": "x", "services": 5}, {}),
    ],
)
def test_the_top_level_is_checked(document: dict[str, Any], fields: dict[str, Any]) -> None:
    problems = Problems()
    check_top_level(document, problems)
    assert problems.fields() == fields


def test_problems_are_told_in_the_order_of_the_file() -> None:
    problems = Problems()
    problems.add(("b",), "second")
    problems.add(("a",), "first")
    told = located(problems, "a: 1\nb: 2\n", "f")
    assert [(error.path, error.line, error.file) for error in told] == [("a", 1, "f"), ("b", 2, "f")]


@pytest.mark.parametrize(
    ("path", "modern"),
    [
        ("/plain-path_1.0~/", "/plain-path_1.0~/"),
        ("/a/./b//c", "/a/b/c"),
        ("/%41", "/A"),
        ("/re/\\d+", "~/re/\\d+"),
        ("/a b", "~/a b"),
        ("/%2e%41%2f$", "~/\\.A%2F$"),
        ("x.y", "x.y"),
        (5, 5),
    ],
)
def test_paths_of_old_files_are_brought_up_to_date(path: Any, modern: Any) -> None:
    assert modern_paths({"paths": [path]}, "1.1") == {"paths": [modern]}
    assert modern_paths({"paths": [path]}, "2.1") == {"paths": [modern]}
    assert modern_paths({"paths": [path]}, "3.0") == {"paths": [path]}


def test_routes_without_paths_stay_as_they_are() -> None:
    assert modern_paths({"paths": 5}, "1.1") == {"paths": 5}
    assert modern_paths({}, "1.1") == {}
