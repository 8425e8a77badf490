"""pre-function: Lua in the configuration that runs before all other plugins.

Lua runs in a sandbox, with a part of Kong's PDK and little of `ngx`. It needs the extra `lua`.
"""

from tollhouse.custom.serverless import Serverless


class PreFunction(Serverless):
    name = "pre-function"
    priority = 1000000
