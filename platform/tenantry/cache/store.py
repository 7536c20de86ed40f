"""What a cache does, and the keys it takes."""

import re
from datetime import timedelta
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable
from urllib.parse import quote
from uuid import UUID

import msgspec

from tenantry.context import current_tenant

__all__ = (
    "LONGEST_TTL",
    "Cache",
    "CacheKey",
    "Namespace",
    "decoded",
    "encoded",
    "shared_key",
    "shared_namespace",
    "tenant_key",
    "tenant_namespace",
    "whole_milliseconds",
)

T = TypeVar("T")
Part = str | int | UUID

LONGEST_TTL = timedelta(days=30)
_NAME = re.compile(r"[a-z][a-z0-9-]*")


class Namespace(msgspec.Struct, frozen=True):
    """Keys of one owner, forgotten together. Make it with `tenant_namespace` or `shared_namespace`."""

    owner: UUID | Literal["shared"]
    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"a namespace is named in lower case, digits and hyphens, not {self.name!r}")

    def wire(self) -> str:
        return f"tenantry:{self.owner}:{self.name}"


class CacheKey(msgspec.Struct, frozen=True):
    """Make it with `tenant_key` or `shared_key`."""

    namespace: Namespace
    parts: tuple[str, ...]

    def wire(self, version: str) -> str:
        """`tenantry:<tenant or "shared">:<namespace>:<version>:<parts>`, another one for every other key.

        Each part is led by a colon and has its own colons escaped, so `("a:b",)`, `("a", "b")` and
        `("a", "b", "")` differ.
        """
        escaped = (":" + quote(part, safe="", errors="surrogatepass") for part in self.parts)
        return f"{self.namespace.wire()}:{version}{''.join(escaped)}"


def tenant_namespace(name: str) -> Namespace:
    """The namespace of the tenant that the current task works for.

    Raises:
        RuntimeError: when the task works for none.
    """
    tenant = current_tenant()
    if tenant is None:
        raise RuntimeError(f"no tenant is bound, so {name!r} has no owner; what all tenants share takes shared_key()")
    return Namespace(tenant, name)


def shared_namespace(name: str) -> Namespace:
    return Namespace("shared", name)


def tenant_key(namespace: str, *parts: Part) -> CacheKey:
    """A key of the tenant that the current task works for.

    Parts are seen by whoever can list the keys of the server: hash what is personal.

    Raises:
        RuntimeError: when the task works for no tenant.
    """
    return CacheKey(tenant_namespace(namespace), tuple(map(str, parts)))


def shared_key(namespace: str, *parts: Part) -> CacheKey:
    """A key that all tenants share: it must name nothing that one of them may not see of another."""
    return CacheKey(shared_namespace(namespace), tuple(map(str, parts)))


@runtime_checkable  # Litestar asks isinstance() of what it injects
class Cache(Protocol):
    """Keeps copies, never the only one: any value may be gone at any time.

    Values are whatever msgspec encodes. A ttl is above zero and at most `LONGEST_TTL`, else ValueError.
    """

    async def get(self, key: CacheKey, type_: type[T]) -> T | None:
        """None when absent, and when what is stored is no `type_` (say, after its fields changed)."""

    async def set(self, key: CacheKey, value: Any, *, ttl: timedelta) -> None:
        """A value read before an `invalidate` but set after it stays for its ttl: keep that short."""

    async def add(self, key: CacheKey, value: Any, *, ttl: timedelta) -> bool:
        """Set only when absent; of concurrent calls one answers True."""
        raise NotImplementedError

    async def delete(self, key: CacheKey) -> None: ...

    async def invalidate(self, namespace: Namespace) -> None:
        """Forget all keys of the namespace at once."""

    async def close(self) -> None: ...


def encoded(value: Any) -> bytes:
    return msgspec.msgpack.encode(value)


def decoded(raw: bytes, type_: type[T]) -> T | None:
    try:
        return msgspec.msgpack.decode(raw, type=type_)
    except (ValueError, RecursionError):  # msgspec lets UnicodeDecodeError through, a ValueError too
        return None


def whole_milliseconds(ttl: timedelta) -> int:
    """`ttl` in milliseconds, rounded up.

    Raises:
        ValueError: when it is not above zero, or above `LONGEST_TTL`.
    """
    if not timedelta(0) < ttl <= LONGEST_TTL:
        raise ValueError(f"a ttl is above zero and at most {LONGEST_TTL.days} days, not {ttl}")
    return -(-ttl // timedelta(milliseconds=1))
