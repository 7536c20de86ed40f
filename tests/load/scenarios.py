"""The requests of each scenario, rendered for one contender."""

from collections.abc import Callable, Sequence
from random import Random
from uuid import UUID

import msgspec

from tests.load.dataset import PAGE, PASSWORD, Member
from tests.load.generator import Call, call

__all__ = ("LIVE", "PROJECTS", "Cast", "calls_of", "login")

PROJECTS = "/api/v1/projects"
LIVE = "/health/live"
MIXED = {"get": 60, "list": 20, "post": 10, "patch": 10}
MIXED_LENGTH = 1000


class Cast(msgspec.Struct, frozen=True):
    """Who calls, and the projects of each: readers' data stay as they are, so that every contender finds the same."""

    readers: list[Member]
    writers: list[Member]
    projects: dict[Member, list[UUID]]


def calls_of(scenario: str, cast: Cast, host: str, tokens: Callable[[Member], str]) -> list[Call]:
    if scenario == "mixed":
        kinds = {kind: calls_of(kind, cast, host, tokens) for kind in MIXED}
        random = Random(0)
        drawn = random.choices(list(MIXED), list(MIXED.values()), k=MIXED_LENGTH)
        return [random.choice(kinds[kind]) for kind in drawn]
    token = {member: tokens(member) for member in (*cast.readers, *cast.writers)}
    match scenario:
        case "get":
            return [call("GET", f"{PROJECTS}/{id}", host, token[m]) for m, id in in_turns(cast, cast.readers)]
        case "list":
            return [call("GET", f"{PROJECTS}?limit={PAGE}", host, token[m]) for m in cast.readers]
        case "post":
            body = '{"name": "Created {number}", "description": "What has to be done by whom, and until when."}'
            return [call("POST", PROJECTS, host, token[m], body) for m in cast.writers]
        case "patch":
            body = '{"description": "Changed {number}: what has to be done by whom, and until when."}'
            return [call("PATCH", f"{PROJECTS}/{id}", host, token[m], body) for m, id in in_turns(cast, cast.writers)]
        case _:
            raise ValueError(scenario)


def login(member: Member, host: str) -> Call:
    body = msgspec.json.encode({"email": member.email, "password": PASSWORD}).decode()
    return call("POST", "/api/v1/auth/login", host, body=body)


def in_turns(cast: Cast, of: Sequence[Member]) -> list[tuple[Member, UUID]]:
    """Neighbours belong to different tenants, and a project comes again only when all have been."""
    return [(m, id) for ids in zip(*(cast.projects[m] for m in of), strict=True) for m, id in zip(of, ids, strict=True)]
