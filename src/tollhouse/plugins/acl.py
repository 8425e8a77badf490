"""acl: lets consumers in or keeps them out by the groups they are in.

Groups are a consumer's own memberships (`acls`), or those that whoever recognised the caller tells, such as
the claim of a token.
"""

from dataclasses import dataclass
from typing import Final

from tollhouse.model.checks import AtLeastOneOf, OnlyOneOf
from tollhouse.pdk import Exchange, FieldSet, Plugin, Reject, setting, wire_field

_CALLERS_KNOWN: Final = 10_000
_REFUSAL: Final = "You cannot consume this service"
_OF_CONSUMER: Final = "X-Consumer-Groups"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    allow: tuple[str, ...] | None = setting(None, doc="Groups let in; nobody else is.")
    deny: tuple[str, ...] | None = setting(None, doc="Groups kept out; everybody else is let in.")
    hide_groups_header: bool = setting(False, required=True, doc="Do not tell the upstream the groups.")
    always_use_authenticated_groups: bool = setting(
        False,
        required=True,
        doc="Judge by the groups that came with authentication also where a consumer is known.",
    )
    include_consumer_groups: bool = setting(
        False, required=True, newer=True, doc="Count the consumer groups that the consumer is in as groups."
    )

    CHECKS = (
        OnlyOneOf("config.allow", "config.deny"),
        AtLeastOneOf("config.allow", "config.deny"),
    )


class Acl(Plugin[Config]):
    name = "acl"
    priority = 950
    Config = Config
    forbidden_scopes = frozenset({"consumer", "consumer_group"})

    def prepare(self) -> None:
        self._listed = frozenset(self.conf.allow or self.conf.deny or ())
        self._allows = bool(self.conf.allow)
        self._fields: dict[tuple[str, tuple[str, ...]], FieldSet] = {}

    def access(self, ex: Exchange) -> None:
        if ex.consumer is None and ex.authenticated_groups is None:
            raise Reject(401) if ex.credential is None else Reject(403, _REFUSAL)
        header, groups = self._groups(ex)
        if self._listed.isdisjoint(groups) is self._allows:
            if header == _OF_CONSUMER and not groups and ex.credential is None:
                raise Reject(401)
            raise Reject(403, _REFUSAL)
        if not self.conf.hide_groups_header:
            ex.request.headers.assign(self._told(header, groups))

    def _groups(self, ex: Exchange) -> tuple[str, tuple[str, ...]]:
        """The header that tells of the groups, and the groups."""
        told = ex.authenticated_groups
        consumer = ex.consumer
        if told is not None and (
            consumer is None or ex.credential is None or self.conf.always_use_authenticated_groups
        ):
            return "X-Authenticated-Groups", told
        if consumer is None:
            return _OF_CONSUMER, ()
        groups = self.services.directory.groups(consumer.id)
        if self.conf.include_consumer_groups:
            more = (group.name for group in self.services.directory.consumer_groups(consumer.id))
            groups = tuple(dict.fromkeys((*groups, *more)))
        return _OF_CONSUMER, groups

    def _told(self, header: str, groups: tuple[str, ...]) -> FieldSet:
        found = self._fields.get((header, groups))
        if found is None:
            if len(self._fields) >= _CALLERS_KNOWN:
                self._fields.clear()
            found = FieldSet.of((wire_field(header, ", ".join(groups)),))
            self._fields[(header, groups)] = found
        return found
