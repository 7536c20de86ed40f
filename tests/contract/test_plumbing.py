"""Dependencies are made on a shorter way than Litestar's, and stay those of Litestar."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

import httpx
import pytest
from litestar import Litestar, Request, Router, get
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, QueryParameter
from litestar.plugins import PluginProtocol

from tenantry.inject import InjectPlugin, provided, provider
from tenantry.testing import asgi_client

Number = Annotated[int, QueryParameter(ge=1)]


@asynccontextmanager
async def client_of(handler: Any, *plugins: PluginProtocol, **provides: Provide) -> AsyncIterator[httpx.AsyncClient]:
    router = Router("/", route_handlers=[handler], dependencies=provides)
    app = Litestar([router], plugins=plugins, openapi_config=None)
    async with asgi_client(app) as client:
        yield client


def made(dependency: Any) -> Provide:
    return Provide(dependency, sync_to_thread=False)


def asked_of(base: NamedDependency[int], number: Number, request: Request[None, None, State]) -> list[Any]:
    return [base, number, request.url.path]


class Sum:
    def __init__(self, asked: list[Any], base: int) -> None:
        self.values = [*asked, base]


@get("/{id:uuid}")
async def summed(sum: NamedDependency[Sum], id: FromPath[UUID]) -> list[Any]:
    return [*sum.values, id.int]


PATH = f"/{UUID(int=7)}"


@pytest.mark.parametrize("plugins", [[], [InjectPlugin()]], ids=["Litestar", "ours"])
@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (f"{PATH}?number=3", [10, 3, PATH, 10, 7]),
        (f"{PATH}?number=0", "Expected `int` >= 1"),
        (f"{PATH}?number=three", "Expected `int`, got `str`"),
        (PATH, "Missing required query parameter 'number'"),
    ],
)
async def test_arguments_are_those_of_litestar(plugins: list[PluginProtocol], target: str, expected: Any) -> None:
    """Dependencies get each other, the request and its checked parameters, with our plugin as without it."""
    sum = made(provider(Sum))
    async with client_of(summed, *plugins, base=provided(10), asked=made(asked_of), sum=sum) as client:
        answer = await client.get(target)

    if isinstance(expected, list):
        assert (200, expected) == (answer.status_code, answer.json())
    else:
        assert 400 == answer.status_code
        assert expected in answer.text


@get("/")
async def tasks(one: NamedDependency[Any], two: NamedDependency[Any]) -> int:
    return len({one, two, asyncio.current_task()})


async def test_dependencies_are_made_in_the_task_of_the_request() -> None:
    """Dependencies that need not wait for each other start no tasks: that was a fifth of the cost of a list."""

    def one() -> Any:
        return asyncio.current_task()

    def two() -> Any:
        return asyncio.current_task()

    async with client_of(tasks, InjectPlugin(), one=made(one), two=made(two)) as client:
        answer = await client.get("/")

    assert 1 == answer.json()


@get("/")
async def used(dependency: NamedDependency[Any]) -> int:
    return len(dependency)


async def test_dependencies_that_wait_or_close_are_left_to_litestar() -> None:
    """A provider may be a coroutine or a generator: then it is awaited, or closed after the handler."""
    closed = []

    async def awaited() -> Any:
        await asyncio.sleep(0)
        return "seven c"

    def opened() -> Iterator[Any]:
        yield "four"
        closed.append("four")

    answers = []
    for provide in (Provide(awaited), Provide(opened)):
        async with client_of(used, InjectPlugin(), dependency=provide) as client:
            answers.append((await client.get("/")).json())

    assert ([7, 4], ["four"]) == (answers, closed)
