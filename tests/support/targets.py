"""Routes with ai-proxy-advanced in front of the model servers of two providers."""

from dataclasses import dataclass

from tests.support.models import ModelServer

SERVICE = """
- name: {name}
  url: http://127.0.0.1:1
  routes: [{{name: {name}, paths: [/{name}]}}]
  plugins:
  - name: ai-proxy-advanced
    config:
      {more}
      balancer: {{{balancer}}}
      targets: [{targets}]
"""
OPENAI = (
    "{{route_type: {route_type}, weight: {weight}, logging: {{log_statistics: true}}, "
    "auth: {{header_name: Authorization, header_value: Bearer openai-key}}, description: the usual, "
    'model: {{provider: openai, name: gpt-4o-mini, options: {{upstream_url: "{url}/v1/chat/completions"}}}}}}'
)
CLAUDE = (
    "{{route_type: {route_type}, weight: {weight}, logging: {{log_statistics: true}}, "
    "auth: {{header_name: x-api-key, header_value: claude-key}}, "
    "model: {{provider: anthropic, name: claude-haiku-4-5, "
    'options: {{anthropic_version: "2023-06-01", upstream_url: "{url}/v1/messages"}}}}}}'
)
NOWHERE = "http://127.0.0.1:1"
_ALL = "error, timeout, http_403, http_404, http_429, http_500, http_502, http_503, http_504, invalid_header"


@dataclass
class Servers:
    openai: ModelServer
    claude: ModelServer

    @property
    def asked(self) -> tuple[int, int]:
        return len(self.openai.received), len(self.claude.received)


def service(name: str, *targets: str, balancer: str = "", more: str = "model_name_header: true") -> str:
    return SERVICE.format(name=name, balancer=balancer, more=more, targets=", ".join(targets))


def config(servers: Servers, log: str) -> str:
    def openai(weight: int = 200, url: str = servers.openai.url, route_type: str = "llm/v1/chat") -> str:
        return OPENAI.format(weight=weight, url=url, route_type=route_type)

    def claude(weight: int = 100, url: str = servers.claude.url, route_type: str = "llm/v1/chat") -> str:
        return CLAUDE.format(weight=weight, url=url, route_type=route_type)

    first = f"algorithm: priority, failover_criteria: [{_ALL}]"
    quick = "limits: {first_byte_timeout: 600, chunk_timeout: 600}"
    services = (
        service("first", openai(), claude(), balancer=first, more=quick),
        service("claude-first", openai(50), claude(), balancer=first, more=quick),
        service("usual", openai(), claude(), balancer="algorithm: priority"),
        service("once", openai(), claude(), balancer=f"{first}, retries: 0"),
        service("dead", openai(url=NOWHERE), claude(), balancer="algorithm: priority"),
        service("turns", openai(200), claude(100)),
        service(
            "hashed", openai(), claude(), balancer="algorithm: consistent-hashing, hash_on_header: x-who"
        ),
        service("broken", openai(), balancer="max_fails: 1, fail_timeout: 600000"),
        service("messages", openai(), claude(), balancer=first, more=f"{quick}\n      llm_format: anthropic"),
        service("preserve", *(each(route_type="preserve") for each in (openai, claude)), balancer=first),
        service(
            "preserve-twice",
            *(each(route_type="preserve") for each in (openai, claude)),
            balancer=first.replace("error,", "error, non_idempotent,"),
        ),
    )
    plugins = f"""
plugins:
- {{name: prometheus, config: {{ai_metrics: true}}}}
- {{name: file-log, config: {{path: "{log}"}}}}
"""
    return '_format_version: "3.0"\nservices:' + "".join(services) + plugins
