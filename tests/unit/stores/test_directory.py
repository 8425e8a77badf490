"""Who is calling, in the snapshot being served."""

from collections.abc import Generator

from tollhouse.config.declarative import load
from tollhouse.plugins import Registry
from tollhouse.stores.directory import Directory, building_directory

KIND = "keyauth_credentials"


def building(config: str) -> Generator[None, None, Directory]:
    text = f'_format_version: "3.0"\n{config}'
    return building_directory(
        load(text, file=None, plugins=Registry(), flavor="traditional_compatible", now=1)
    )


def built(config: str) -> Directory:
    work = building(config)
    while True:
        try:
            next(work)
        except StopIteration as end:
            directory: Directory = end.value
            return directory


def test_consumers_are_found_by_id_and_by_username_and_by_nothing_else() -> None:
    alice = "11111111-1111-4111-8111-111111111111"
    directory = built(f"consumers: [{{id: {alice}, username: alice, custom_id: a-1}}, {{custom_id: b-1}}]\n")

    for name in (alice, "alice"):
        found = directory.consumer(name)
        assert found is not None
        assert found.username == "alice"
    assert directory.consumer("a-1") is None
    assert directory.consumer("ALICE") is None


def test_a_key_finds_its_owner_in_the_form_it_has_on_the_wire() -> None:
    directory = built('consumers: [{username: a, keyauth_credentials: [{key: k}, {key: "ключ"}]}]\n')

    for presented in ("k", "ключ".encode().decode("latin-1")):
        caller = directory.caller(KIND, presented)
        assert caller is not None
        assert caller.consumer is not None
        assert caller.consumer.username == "a"
    assert directory.caller(KIND, "ключ") is None
    assert directory.caller("basicauth_credentials", "k") is None
    assert Directory().caller(KIND, "k") is None


def test_building_pauses_often_and_the_old_content_serves_until_it_is_exchanged() -> None:
    serving = built("consumers: [{username: old}]\n")
    many = "".join(f"- {{username: u{n}, keyauth_credentials: [{{key: k{n}}}]}}\n" for n in range(2000))

    work, pauses = building(f"consumers:\n{many}"), 0
    successor: Directory | None = None
    while successor is None:
        try:
            next(work)
        except StopIteration as end:
            successor = end.value
        else:
            pauses += 1
            assert serving.consumer("old") is not None
    assert pauses >= 6

    serving.take_over(successor)

    assert serving.consumer("old") is None
    assert serving.caller(KIND, "k1999") is not None
