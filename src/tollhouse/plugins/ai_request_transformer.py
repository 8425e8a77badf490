"""ai-request-transformer: a model rewrites the client's request body before it goes to the service.

The model gets the configured prompt as system message and the body as the user's; what it answers, or the
part of it that a pattern finds, is the new body. The call is metered as a line of its own.
"""

from collections.abc import Awaitable
from dataclasses import dataclass

from tollhouse.llm import prompts, transforming
from tollhouse.pdk import Exchange, Plugin, Reject, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    prompt: str = setting(required=True, doc="What the model is told to do with a body.")
    transformation_extract_pattern: str | None = setting(
        None,
        required=False,
        validator=transforming.pattern_problem,
        doc="Regular expression for the part of the model's answer that is taken; without it all of it is.",
    )
    http_timeout: int = setting(60000, required=True, gt=0, unit="ms", doc="How long the model may take.")
    https_verify: bool = setting(True, required=True, doc="Check the certificate of the model's server.")
    max_request_body_size: int = setting(
        8192, gt=0, unit="B", doc="Largest request that is read; the default stands for 1 MiB."
    )
    http_proxy_host: str | None = setting(
        None, validator=transforming.no_proxy, doc="Refused: models are called directly."
    )
    http_proxy_port: int | None = setting(None, between=(0, 65535), doc="Needs `http_proxy_host`.")
    https_proxy_host: str | None = setting(
        None, validator=transforming.no_proxy, doc="Refused: models are called directly."
    )
    https_proxy_port: int | None = setting(None, between=(0, 65535), doc="Needs `https_proxy_host`.")
    llm: transforming.Llm = setting(required=True, doc="The model, as `ai-proxy` is told of one.")

    CHECKS = transforming.CHECKS


class AiRequestTransformer(Plugin[Config]):
    name = "ai-request-transformer"
    priority = 777
    Config = Config
    forbidden_scopes = frozenset({"consumer"})

    def prepare(self) -> None:
        conf = self.conf
        self.request_body_limit: int = prompts.body_limit(conf.max_request_body_size)
        self._rewriter = transforming.Rewriter(
            name=self.name,
            plugin_id=self.id,
            services=self.services,
            llm=conf.llm,
            prompt=conf.prompt,
            pattern=conf.transformation_extract_pattern,
            timeout_ms=conf.http_timeout,
            verify=conf.https_verify,
        )

    def access(self, ex: Exchange) -> Awaitable[None]:
        content = ex.request.content
        if content is None or len(content) > self.request_body_limit:
            raise Reject(413, body={"error": {"message": "request body is too large"}})
        return self._rewrite(ex, content)

    async def _rewrite(self, ex: Exchange, content: bytes) -> None:
        ex.request.replace_content((await self._rewriter.rewritten(ex, content)).encode())
