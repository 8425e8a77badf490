"""The endpoints of entities, made from what each kind says of itself: no kind has endpoints of its own.

For a kind and its foreign keys there are the collection, the single entity, the collection inside of the
entity that a foreign key points to, and that entity itself: `/routes`, `/routes/{routes}`,
`/services/{services}/routes[/{routes}]`, `/routes/{routes}/service`.
"""

from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tollhouse.admin.bodies import Given, given
from tollhouse.admin.entities import Entities
from tollhouse.admin.failures import absent, coded, told
from tollhouse.admin.http import Answer, Call, Endpoint, Endpoints
from tollhouse.admin.listing import listed, page_body, part_of
from tollhouse.admin.lookups import Parents
from tollhouse.model.entities import ENTITIES, Kind, random_id
from tollhouse.stores.store import Page, Tagged

#: where a kind's collection is, and what it is called inside of others, where that is not its name
_PATHS: Final[Mapping[str, tuple[str, str]]] = {
    "key_sets": ("key-sets", "key-sets"),
    "keyauth_credentials": ("key-auths", "key-auth"),
    "basicauth_credentials": ("basic-auths", "basic-auth"),
    "hmacauth_credentials": ("hmac-auths", "hmac-auth"),
    "jwt_secrets": ("jwts", "jwt"),
    "mtls_auth_credentials": ("mtls-auths", "mtls-auth"),
}
#: memberships are shown as what they join
_JOINS: Final = frozenset({"consumer_group_consumers"})
#: kinds that are reached through what they belong to only
_INNER: Final = frozenset({"targets"})
#: foreign keys of kinds that no path leads along
_CLOSED: Final = frozenset({("snis", "certificate")})


def collection_path(kind: Kind) -> str:
    """Where a kind's collection is."""
    return "/" + _PATHS.get(kind.name, (kind.name, ""))[0]


def entity_path(kind: Kind) -> str:
    """Where one of its entities is."""
    return f"{collection_path(kind)}/{{{kind.name}}}"


@dataclass(frozen=True, slots=True)
class Place:
    """A path at which entities of a kind are found."""

    path: str
    kind: Kind
    #: the field that points to the entity above it, and that one's kind
    above: tuple[str, Kind] | None = None


def places() -> Iterator[Place]:
    """Every collection there is."""
    for kind in ENTITIES.values():
        if kind.name in _JOINS:
            continue
        yield Place(collection_path(kind), kind)
        for field, reference in kind.references.items():
            parent = ENTITIES[reference]
            inner = _PATHS.get(kind.name, ("", kind.name))[1]
            yield Place(f"{entity_path(parent)}/{inner}", kind, (field, parent))


def entity_endpoints(entities: Entities) -> Endpoints:
    """All endpoints of all kinds."""
    endpoints: dict[str, Mapping[str, Endpoint]] = {}
    for place in places():
        collection = _Collection(entities, place)
        if place.above is not None or place.kind.name not in _INNER:
            endpoints[place.path] = {"GET": collection.list, "POST": collection.create}
            endpoints[f"{place.path}/{{{place.kind.name}}}"] = {
                "GET": collection.get,
                "PUT": collection.upsert,
                "PATCH": collection.update,
                "DELETE": collection.delete,
            }
        if place.above is None and place.kind.name not in _INNER:
            endpoints |= _parents(entities, place)
    return endpoints


def _parents(entities: Entities, place: Place) -> Endpoints:
    """Of each foreign key of a kind, the entity that it points to."""
    endpoints = {}
    for field, reference in place.kind.references.items():
        if (place.kind.name, field) in _CLOSED:
            continue
        parent = _Parent(entities, place.kind, field, ENTITIES[reference])
        methods = {
            "GET": parent.get,
            "PUT": parent.upsert,
            "PATCH": parent.update,
            "DELETE": parent.refuse_delete,
        }
        endpoints[f"{place.path}/{{{place.kind.name}}}/{field}"] = methods
    return endpoints


def kinds_by_path() -> Mapping[str, Kind]:
    """Of which kind the entities are that a path answers with."""
    kinds: dict[str, Kind] = {}
    for place in places():
        kinds[place.path] = kinds[f"{place.path}/{{{place.kind.name}}}"] = place.kind
        for field, reference in place.kind.references.items():
            kinds[f"{place.path}/{{{place.kind.name}}}/{field}"] = ENTITIES[reference]
    return kinds


class _Collection:
    """Entities of a kind, all of them or those that belong to one of another kind."""

    def __init__(self, entities: Entities, place: Place) -> None:
        self._entities = entities
        self._kind = place.kind
        self._above = place.above

    def _parents(self, call: Call) -> Parents:
        if self._above is None:
            return ()
        field, kind = self._above
        return ((field, kind, call.parameters[kind.name]),)

    async def _where(self, call: Call) -> dict[str, str]:
        return await self._entities.ids(self._parents(call))

    async def list(self, call: Call) -> Answer:
        if self._kind.name == "consumers" and "custom_id" in call.arguments:
            return await self._by_custom_id(call)
        where = await self._where(call)
        if self._kind.name == "targets":
            return await self._newest_first(call, where)

        def read(size: int, offset: str | None, tagged: Tagged | None) -> Awaitable[Page]:
            # What belongs to an entity is all listed, whatever its tags: Kong takes one filter at a time.
            return self._entities.page(self._kind, size, offset, None if where else tagged, where)

        return await listed(call, read)

    async def _by_custom_id(self, call: Call) -> Answer:
        custom_id = call.argument("custom_id")
        if not custom_id:
            problem = "custom_id must be an unempty string"
            raise coded(400, 2, "schema violation", problem, fields={"custom_id": problem})
        async with self._entities.reading() as reader:
            row = await reader.find(self._kind, "custom_id", custom_id)
            rows = [await self._entities.shown(reader, self._kind, row)] if row is not None else []
        return Answer(body=page_body(call, rows, None))

    async def _newest_first(self, call: Call, where: Mapping[str, str]) -> Answer:
        rows = await self._entities.all(self._kind, where)
        rows.sort(key=lambda row: (row["created_at"], row["id"]), reverse=True)
        page = part_of(call, rows)
        return Answer(body=page_body(call, page.rows, page.offset))

    async def create(self, call: Call) -> Answer:
        row = await self._entities.create(call.actor, self._kind, given(call), self._parents(call))
        return Answer(201, row)

    async def get(self, call: Call) -> Answer:
        return Answer(body=await self._entities.get(self._kind, self._text(call), self._parents(call)))

    async def upsert(self, call: Call) -> Answer:
        if self._kind.name in _INNER:  # Kong has but one way to change them
            return await self.update(call)
        parents = self._parents(call)
        row = await self._entities.upsert(call.actor, self._kind, self._text(call), given(call), parents)
        return Answer(body=row)

    async def update(self, call: Call) -> Answer:
        parents = self._parents(call)
        row = await self._entities.update(call.actor, self._kind, self._text(call), given(call), parents)
        return Answer(body=row)

    async def delete(self, call: Call) -> Answer:
        await self._entities.delete(call.actor, self._kind, self._text(call), self._parents(call))
        return Answer(204)

    def _text(self, call: Call) -> str:
        return call.parameters[self._kind.name]


class _Parent:
    """What a foreign key of an entity points to."""

    def __init__(self, entities: Entities, kind: Kind, field: str, parent: Kind) -> None:
        self._entities = entities
        self._kind = kind
        self._field = field
        self._parent = parent

    async def _given_id(self, call: Call) -> str | None:
        entity: dict[str, Any] = await self._entities.get(self._kind, call.parameters[self._kind.name], ())
        reference = entity.get(self._field)
        return reference["id"] if reference is not None else None

    async def _id(self, call: Call) -> str:
        found = await self._given_id(call)
        if found is None:
            raise absent()
        return found

    async def get(self, call: Call) -> Answer:
        return Answer(body=await self._entities.get(self._parent, await self._id(call), ()))

    async def upsert(self, call: Call) -> Answer:
        known = await self._given_id(call)
        id_ = known or random_id()
        row = await self._entities.upsert(call.actor, self._parent, id_, given(call), ())
        if known is None:
            link = Given({self._field: {"id": id_}})
            await self._entities.update(call.actor, self._kind, call.parameters[self._kind.name], link, ())
        return Answer(body=row)

    async def update(self, call: Call) -> Answer:
        row = await self._entities.update(call.actor, self._parent, await self._id(call), given(call), ())
        return Answer(body=row)

    async def refuse_delete(self, call: Call) -> Answer:
        await self._id(call)
        raise told(405, "Method not allowed")


def membership_endpoints(entities: Entities) -> Endpoints:
    """Consumers in groups, from both sides, as Kong Enterprise has them."""
    groups, consumers = ENTITIES["consumer_groups"], ENTITIES["consumers"]
    endpoints: dict[str, Mapping[str, Endpoint]] = {}
    for above, above_field, inner, inner_field, names in (
        (groups, "consumer_group", consumers, "consumer", ("consumer", "consumers")),
        (consumers, "consumer", groups, "consumer_group", ("group", "consumer_groups")),
    ):
        side = _Membership(entities, (above, above_field), (inner, inner_field), names)
        path = f"{entity_path(above)}/{inner.name}"
        endpoints[path] = {"GET": side.list, "POST": side.add, "DELETE": side.clear}
        endpoints[f"{path}/{{{inner.name}}}"] = {"GET": side.get, "DELETE": side.remove}
    return endpoints


class _Membership:
    """The consumers of a group, or the groups of a consumer."""

    def __init__(
        self,
        entities: Entities,
        above: tuple[Kind, str],
        inner: tuple[Kind, str],
        names: tuple[str, str],
    ) -> None:
        self._entities = entities
        self._above, self._above_field = above
        self._inner, self._inner_field = inner
        #: what a body calls the one to add, and an answer the list
        self._argument, self._list_name = names
        self._kind = ENTITIES["consumer_group_consumers"]

    def _above_text(self, call: Call) -> str:
        return call.parameters[self._above.name]

    async def _members(self, call: Call) -> list[dict[str, Any]]:
        return await self._entities.joined(
            self._kind,
            (self._above_field, self._above, self._above_text(call)),
            self._inner_field,
            self._inner,
        )

    async def list(self, call: Call) -> Answer:
        rows = await self._members(call)
        return Answer(body={self._list_name: rows, "data": rows, "next": None})

    async def add(self, call: Call) -> Answer:
        values = given(call).values
        wanted = values.get(self._argument, values.get(self._inner_field))
        texts = wanted if isinstance(wanted, list) else [wanted]
        texts = [text.get("id") if isinstance(text, dict) else text for text in texts]
        if not texts or not all(isinstance(text, str) for text in texts):
            raise told(400, f"'{self._argument}' must name one or more of {self._inner.name}")
        above = (self._above_field, self._above, self._above_text(call))
        await self._entities.join(
            call.actor, self._kind, [(above, (self._inner_field, self._inner, text)) for text in texts]
        )
        entity = await self._entities.get(self._above, self._above_text(call), ())
        return Answer(201, {self._above_field: entity, self._list_name: await self._members(call)})

    async def get(self, call: Call) -> Answer:
        inner = await self._entities.get(self._inner, call.parameters[self._inner.name], ())
        if all(row["id"] != inner["id"] for row in await self._members(call)):
            raise absent()
        above = await self._entities.get(self._above, self._above_text(call), ())
        return Answer(body={self._above_field: above, self._inner_field: inner})

    async def clear(self, call: Call) -> Answer:
        await self._entities.part(
            call.actor, self._kind, [(self._above_field, self._above, self._above_text(call))]
        )
        return Answer(204)

    async def remove(self, call: Call) -> Answer:
        both = [
            (self._above_field, self._above, self._above_text(call)),
            (self._inner_field, self._inner, call.parameters[self._inner.name]),
        ]
        await self._entities.part(call.actor, self._kind, both)
        return Answer(204)
