"""How one tenant could notice another over HTTP. Used on the application, and on one that does leak."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from polyfactory.factories.sqlalchemy_factory import SQLAlchemyFactory

from tenantry.feature import slice_modules
from tenantry.ids import new_id
from tenantry.testing import Api, TenantHandle
from tests.isolation.operations import Contract, Operation

__all__ = ("Neighbours",)

REQUEST_ID = {"X-Request-ID": "the-same-for-both"}
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]


@dataclass(frozen=True)
class Neighbours:
    """Someone of one tenant, who may do everything there, looks for rows of the other."""

    api: Api
    contract: Contract
    mine: TenantHandle
    theirs: TenantHandle

    async def tellings(self) -> list[str]:
        """Each operation by whose answer a row of the other tenant differs from one that never was."""
        found = []
        for operation in self._of_rows():
            found += [f"{operation}: {fault}" for fault in await self._tellings_of(operation)]
        return found

    async def sightings(self) -> list[str]:
        """Each operation whose answer contains something of the other tenant."""
        rows = {each.path.partition("/{")[0]: await self._ids(each) for each in self._of_rows()}
        marks = self._marks().union(*(ids.values() for ids in rows.values()))
        found = []
        for operation in self.contract.operations:
            if operation.method == "GET" and not operation.parameters and not operation.is_public:
                answer = await self.contract.call(self.api.as_(self.mine.owner), operation)
                found += [f"{operation}: shows {mark}" for mark in marks if mark in answer.text]
                shown = await self.contract.call(self.api.as_(self.theirs.owner), operation)
                missing = [id for id in rows.get(operation.path, {}).values() if id not in shown.text]
                found += [f"{operation}: hides {id} from its own tenant" for id in missing]
        return found

    def _of_rows(self) -> Iterator[Operation]:
        return (each for each in self.contract.operations if each.parameters and not each.is_public)

    async def _tellings_of(self, operation: Operation) -> Iterator[str]:
        ids = await self._ids(operation)
        if not ids:
            return iter(["found no row to try it with: no POST, list or factory gives one"])
        before = await self._collection(operation, ids)
        foreign = await self._answer(operation, ids)
        none = await self._answer(operation, {name: unlike(id) for name, id in ids.items()})
        after = await self._collection(operation, ids)
        own = (await self.contract.call(self.api.as_(self.theirs.owner), operation, ids)).status_code
        faults = {
            f"tells {foreign} from {none}": foreign != none,
            f"answers {foreign[0]} for a row of another tenant": foreign[0] != 404,
            f"changes rows of another tenant: {before!r} to {after!r}": before != after,
            f"answers {own} to the row's own tenant": own in (401, 403, 404) or own >= 500,
        }
        return (fault for fault, found in faults.items() if found)

    async def _answer(self, operation: Operation, ids: dict[str, str]) -> Answer:
        """All of it but the date; the caller chooses the request id, so not even that differs."""
        response = await self.contract.call(self.api.as_(self.mine.owner), operation, ids, REQUEST_ID)
        headers = [header for header in response.headers.raw if header[0].lower() != b"date"]
        return response.status_code, headers, response.content

    async def _collection(self, operation: Operation, ids: dict[str, str]) -> bytes | None:
        """What its own tenant sees of the row and those beside it."""
        path = operation.path.rpartition(f"/{{{operation.parameters[-1]}}}")[0]
        listing = self.contract.find("GET", path)
        if listing is None:
            return None
        return (await self.contract.call(self.api.as_(self.theirs.owner), listing, ids)).content

    async def _ids(self, operation: Operation) -> dict[str, str]:
        """Of rows of the other tenant, for the parameters of the path; none where there are no such rows."""
        found: dict[str, str] = {}
        for name in operation.parameters:
            collection = operation.path.partition(f"/{{{name}}}")[0]
            id = await self.contract.row(self.api.as_(self.theirs.owner), collection, found, name)
            for factory in () if id else factories_for(collection):
                # A row of a person, not of the tenant, knows itself how it comes to be the owner's.
                row = await (factory.of(self.theirs) if hasattr(factory, "of") else self.theirs.has(factory))
                id = str(row.id)
            if id is None:
                return {}
            found[name] = id
        return found

    def _marks(self) -> set[str]:
        accounts = self.theirs.accounts.values()
        return {str(self.theirs.id), self.theirs.slug} | {mark for a in accounts for mark in (str(a.id), a.email)}


def unlike(id: str) -> str:
    """One of the same form that never was."""
    return str(new_id()) if re.fullmatch(r"[0-9a-f-]{36}", id) else id[::-1]


def factories_for(collection: str) -> list[type[SQLAlchemyFactory[Any]]]:
    """The slices' own factories for the table that is called as the collection is: `/api/v1/sso/connections`."""
    called = "_" + re.sub(r"\W", "_", collection)
    modules = [f"{package.__name__}.factories" for package in slice_modules("features", "tests")]
    return [
        value
        for module in modules
        if find_spec(module)
        for value in vars(import_module(module)).values()
        if isinstance(value, type) and issubclass(value, SQLAlchemyFactory) and value is not SQLAlchemyFactory
        if called.endswith(f"_{value.__model__.__tablename__}")
    ]
