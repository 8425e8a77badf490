"""ai-request-transformer: a model rewrites the client's request body before it goes to the service.

The model gets the configured prompt as system message and the body as the user's; what it answers, or the
part of it that a pattern finds, is the new body. The call is metered as a line of its own.
"""

from collections.abc import Awaitable

from tollhouse.llm import transforming
from tollhouse.pdk import Exchange, Plugin


class AiRequestTransformer(Plugin[transforming.Transforming]):
    name = "ai-request-transformer"
    priority = 777
    Config = transforming.Transforming
    forbidden_scopes = frozenset({"consumer"})

    def prepare(self) -> None:
        self._rewriter = transforming.Rewriter(self.conf, self.services, name=self.name, plugin_id=self.id)
        self.request_body_limit: int = self._rewriter.request_body_limit

    def access(self, ex: Exchange) -> Awaitable[None]:
        return self._rewrite(ex, self._rewriter.request_content(ex))

    async def _rewrite(self, ex: Exchange, content: bytes) -> None:
        ex.request.replace_content((await self._rewriter.rewritten(ex, content)).encode())
