"""post-function: Lua in the configuration, after all other plugins."""

from tests.support.gateway import Gateway
from tests.support.upstream import Upstream

CONFIG = """_format_version: "3.0"
services:
- url: {url}
  routes:
  - name: r
    paths: [/]
    plugins:
    - name: pre-function
      config: {{access: ["kong.ctx.shared.seen = kong.request.get_path()"]}}
    - name: post-function
      config:
        header_filter:
        - kong.response.set_header("X-Seen", kong.ctx.shared.seen)
        body_filter:
        - kong.response.set_raw_body((kong.response.get_raw_body():gsub("okay", "changed")))
        log:
        - kong.log.err("ended with ", kong.response.get_status())
"""


async def test_lua_changes_the_answer_and_logs(upstream: Upstream) -> None:
    gateway = await Gateway.start(CONFIG.format(url=upstream.url))
    try:
        reply = await gateway.request("GET", "/some")
        assert reply.status == 200
        assert reply.headers["x-seen"] == "/some"
        assert b"changed" in reply.body
        await gateway.until_logged("[post-function] ended with 200")
    finally:
        await gateway.stop()
