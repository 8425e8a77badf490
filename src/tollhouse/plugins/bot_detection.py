"""bot-detection: keeps out programs that say in User-Agent that they are robots.

A pattern of `allow` lets a client in whatever else matches; then `deny` and the gateway's own list of
crawlers keep it out. A client that names no User-Agent passes.
"""

import re
from dataclasses import dataclass
from typing import Final

from tollhouse.model import regex
from tollhouse.pdk import Exchange, Plugin, Reject, item, setting

#: products of well-known crawlers, monitors and link previewers, by the name they give themselves
_PRODUCTS: Final = (
    "AhrefsBot", "AdsBot-Google", "Applebot", "Baiduspider", "BingPreview", "Bytespider", "CCBot",
    "ClaudeBot", "DataForSeoBot", "DotBot", "DuckDuckBot", "Exabot", "facebookexternalhit", "GPTBot",
    "Googlebot", "HTTrack", "heritrix", "ia_archiver", "LinkedInBot", "MJ12bot", "Mediapartners-Google",
    "msnbot", "PetalBot", "PerplexityBot", "Pingdom", "PRTG", "Scrapy", "SemrushBot", "Slackbot", "Slurp",
    "Sogou", "Teoma", "TelegramBot", "Twitterbot", "UptimeRobot", "WhatsApp", "YandexBot", "bingbot",
)  # fmt: skip
#: what a robot's name ends in, where a version, a comment or the end follows
_KINDS: Final = r"(?:[Bb]ot|[Ss]pider|[Cc]rawler|[Cc]rawl|[Ss]craper|[Aa]rchiver|[Ii]ndexer)(?=[/;) ]|$)"
_ROBOT: Final = re.compile("|".join((*map(re.escape, _PRODUCTS), _KINDS)))
_AGENTS_KNOWN: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    allow: tuple[str, ...] = setting(
        (), items=item(is_regex=True), doc="Regular expressions of User-Agents let in."
    )
    deny: tuple[str, ...] = setting(
        (), items=item(is_regex=True), doc="Regular expressions of User-Agents kept out besides the known."
    )


class BotDetection(Plugin[Config]):
    name = "bot-detection"
    priority = 2500
    Config = Config
    forbidden_scopes = frozenset({"consumer"})

    def prepare(self) -> None:
        self._allowed = tuple(map(regex.compiled, self.conf.allow))
        self._denied = (*map(regex.compiled, self.conf.deny), _ROBOT)
        self._known: dict[str, bool] = {}

    def access(self, ex: Exchange) -> None:
        headers = ex.request.headers
        agent = headers.values.get("user-agent")
        if not agent:
            return
        if headers.has_repeats and len(headers.get_all("user-agent")) > 1:
            raise Reject(400, "Only one User-Agent header allowed")
        passes = self._known.get(agent)
        if passes is None:
            if len(self._known) >= _AGENTS_KNOWN:
                self._known.clear()
            passes = self._known[agent] = self._passes(agent)
        if not passes:
            raise Reject(403)

    def _passes(self, agent: str) -> bool:
        if any(pattern.search(agent) for pattern in self._allowed):
            return True
        return not any(pattern.search(agent) for pattern in self._denied)
