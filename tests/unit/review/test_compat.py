"""What is told about configurations that were written for Kong."""

from pathlib import Path

import pytest

from tollhouse.plugins import BUNDLED, Registry
from tollhouse.review.compat import EntityReview, review
from tollhouse.review.differences import MISSING, PLUGINS

REGISTRY = Registry()
VERSION = '_format_version: "3.0"\n'
ACCEPTANCE = Path(__file__).parents[2] / "data" / "acceptance"


def reviewed(text: str, **environment: str) -> dict[str, EntityReview]:
    report = review(
        VERSION + text,
        file="kong.yml",
        plugins=REGISTRY,
        flavor="traditional_compatible",
        environment=environment,
    )
    return {entity.path: entity for entity in report.entities}


def verdicts(entity: EntityReview) -> dict[str, str]:
    return {field.field: field.verdict for field in entity.fields}


def test_every_field_of_what_is_the_same_is_listed() -> None:
    seen = reviewed("services: [{name: a, host: h, routes: [{name: r, paths: [/a], headers: {x: [y]}}]}]")
    assert verdicts(seen["services[0]"]) == {"name": "same", "host": "same"}
    assert verdicts(seen["services[0].routes[0]"]) == {"name": "same", "paths": "same", "headers.x": "same"}


@pytest.mark.parametrize(
    ("text", "path", "field", "verdict"),
    [
        ("services: [{host: h, bogus: 1}]", "services[0]", "bogus", "not supported"),
        ("routes: [{name: r, protocols: [tcp], destinations: [{port: 1}]}]", "routes[0]", "protocols",
         "differs"),
        ("services: [{host: h}]\n_workspace: x", "_workspace", "_workspace", "differs"),
        ("rbac_roles: [{name: x}]", "rbac_roles", "rbac_roles", "not supported"),
        ("consumers: [{username: u, oauth2_credentials: [{name: n}]}]", "consumers[0]", "oauth2_credentials",
         "not supported"),
        ("plugins: [{name: nobody-knows, config: {a: 1}}]", "plugins[0]", "name", "not supported"),
        ("plugins: [{name: acl, config: {allow: [a], deny: [b]}}]", "plugins[0]", "", "not supported"),
        ("plugins: [{name: ip-restriction}]", "plugins[0]", "", "not supported"),
        ("plugins: [{name: file-log, config: {path: /tmp/a, custom_fields_by_lua: {a: return 1}}}]",
         "plugins[0]", "config.custom_fields_by_lua", "differs"),
        ("plugins: [{name: proxy-cache, config: {strategy: memory}}]", "plugins[0]", "", "differs"),
        ("plugins: [{name: cors, ordering: {before: {access: [acl]}}}]", "plugins[0]", "ordering",
         "not supported"),
        ("routes: [{name: r, paths: [/], service: nowhere}]", "routes[0]", "service", "not supported"),
    ],
)  # fmt: skip
def test_what_is_not_the_same_is_told_where_it_stands(text: str, path: str, field: str, verdict: str) -> None:
    assert verdicts(reviewed(text)[path])[field] == verdict


def test_whatever_is_not_supported_comes_with_what_to_do() -> None:
    seen = reviewed(
        "plugins: [{name: pre-function}, {name: mystery}, {name: cors, config: {max_age: x, y: 1}}]\n"
        "workspaces: [{name: w}]\nservices: [{host: h}, {}]"
    )
    missing = [
        field for entity in seen.values() for field in entity.fields if field.verdict == "not supported"
    ]
    assert len(missing) == 6
    assert all(field.how and field.todo for field in missing)


def test_names_that_occur_twice_are_told() -> None:
    seen = reviewed("services: [{name: a, host: h}, {name: a, host: i}]")
    assert [entity.verdict for entity in seen.values()] == ["same", "not supported"]


def test_variables_need_not_be_set() -> None:
    seen = reviewed('services: [{host: "${{ env "DECK_H" }}", port: ${{ env "DECK_P" | toInt }}}]')
    assert seen["services[0]"].verdict == "same"


def test_keys_of_credentials_are_not_shown() -> None:
    seen = reviewed("consumers: [{username: u, keyauth_credentials: [{key: very-secret}]}]")
    assert "very-secret" not in repr(seen)


@pytest.mark.parametrize("name", ["core.yml", "bedrock-rbac.yml", "llm-tenants.yml", "migration.yml"])
def test_files_of_users_have_a_verdict_for_every_entity(name: str) -> None:
    text = (ACCEPTANCE / name).read_text()
    seen = reviewed(text.replace(VERSION, "", 1))
    services = [entity for path, entity in seen.items() if path.startswith("services") and "." not in path]
    assert {entity.verdict for entity in services} == {"same"}


def test_differences_are_about_fields_that_there_are() -> None:
    for name, known in PLUGINS.items():
        schema = REGISTRY.config(name)
        for difference in known if schema else ():
            field = difference.field.removeprefix("config.")
            assert not field or (schema is not None and schema.field(field)), f"{name}: {difference.field}"
    assert all(todo for name, todo in MISSING.items() if name not in BUNDLED)
