"""What is allowed and rarely meant."""

import pytest

from tollhouse.config.declarative import load
from tollhouse.config.settings import from_environment
from tollhouse.plugins import Registry
from tollhouse.review.lint import lint, lint_settings

PLUGINS = Registry()


def findings(text: str) -> list[str]:
    snapshot = load(
        f'_format_version: "3.0"\n{text}', file=None, plugins=PLUGINS, flavor="traditional_compatible", now=5
    )
    return [
        f"{finding.code} {finding.entity}" for finding in lint(snapshot, "traditional_compatible", PLUGINS)
    ]


ROUTES = "services: [{name: s, host: h, routes: [%s]}]"
SECRET = """services:
- name: s
  host: h
  routes: [{name: r, paths: [/]}]
  plugins:
  - name: ai-proxy
    config:
      route_type: llm/v1/chat
      auth: {header_name: Authorization, header_value: "%s"}
      model: {provider: openai, name: m}
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("services: [{name: s, host: h}]", ["service-without-routes service s"]),
        (ROUTES % "{name: r, paths: [/]}", []),
        (ROUTES % "{name: r, paths: [/a]}, {name: q, paths: [/a]}", ["route-hidden route q"]),
        (ROUTES % "{name: r, paths: [/a]}, {name: q, paths: [/a/b]}", []),
        (ROUTES % "{name: r, paths: [/a]}, {name: q, paths: [/a], methods: [GET]}", []),
        (ROUTES % "{name: r, hosts: [a.b]}, {name: q, hosts: ['*.b']}", []),
        (ROUTES % "{name: r, paths: ['~/a$']}, {name: q, paths: [/a]}", []),
        (
            ROUTES % "{name: r, paths: [/a], methods: [GET]}, {name: q, paths: [/a], methods: [GET]}",
            ["route-hidden route q"],
        ),
        (
            "services: [{name: s, host: h, plugins: [{name: cors}]}]",
            ["service-without-routes service s", "plugin-idle plugin cors"],
        ),
        (
            "services: [{name: s, host: h, enabled: false, "
            "routes: [{name: r, paths: [/], plugins: [{name: cors}]}]}]",
            ["plugin-idle plugin cors"],
        ),
        ("plugins: [{name: cors}]", ["plugin-idle plugin cors"]),
        ("plugins: [{name: cors, enabled: false}]", []),
        (
            ROUTES % "{name: r, paths: [/]}"
            + "\nconsumers: [{username: u, plugins: [{name: rate-limiting, config: {minute: 1}}]}]",
            ["plugin-idle plugin rate-limiting"],
        ),
        (SECRET % "Bearer sk-1", ["secret-in-plain-text plugin ai-proxy"]),
        (SECRET % "{vault://env/KEY}", []),
    ],
)
def test_findings(text: str, expected: list[str]) -> None:
    found = findings(text)
    # which of two equal routes wins follows from their ids
    assert [word.replace("route r", "route q") for word in found] == expected


@pytest.mark.parametrize(
    ("listen", "count"),
    [("127.0.0.1:8001", 0), ("0.0.0.0:8001", 1), ("[::]:8001", 1), ("unix:/a", 0), ("off", 0)],
)
def test_a_public_admin_api(listen: str, count: int) -> None:
    settings = from_environment({"KONG_ADMIN_LISTEN": listen})
    assert len(list(lint_settings(settings))) == count
