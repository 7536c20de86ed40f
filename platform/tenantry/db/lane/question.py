"""The question that every transaction of a request begins with: may this principal do this, here and now?

It also binds the tenant. `begin_request` answers it for sessions, `begin_key_request` for API keys.
"""

from collections.abc import Sequence
from functools import cache
from uuid import UUID

from psycopg.sql import quote

from tenantry.db.lane.query import Query, Step
from tenantry.security.principal import Principal

__all__ = ("ANY_SESSION", "Question")

ANY_SESSION = ""
"""In the place of a permission: one for which only a tenant's own identity provider vouches is good, too."""

BIND_TENANT = Query(b"bind_tenant", b"SELECT set_config('app.tenant_id', coalesce($1, ''), true)")
# The function sets the plan; columns are computed in their order.
PLAN = b", current_setting('app.plan', true)"
BEGIN_REQUEST = Query(b"begin_request", b"SELECT begin_request($1::uuid, $2::uuid, $3::text)" + PLAN)
BEGIN_KEY_REQUEST = Query(
    b"begin_key_request", b"SELECT begin_key_request($1::uuid, $2::bytea, $3::uuid, $4::text)" + PLAN
)


class Question:
    """`permission` None asks whether the credential is good, of a session for the account of its owner; `ANY_SESSION`
    for what any session may do. A session is bound to no tenant then, unless it is confined to one; a key always is.
    """

    __slots__ = ("step", "tenant_id")

    def __init__(self, principal: Principal, permission: str | None) -> None:
        self.tenant_id = principal.tenant_id if permission or principal.key else None
        asked, tenant = permission.encode() if permission is not None else None, _hex(self.tenant_id)
        self.step: Step
        if principal.key is None:
            self.step = (BEGIN_REQUEST, (_hex(principal.session_id), tenant, asked))
        else:
            secret = principal.key.secret_hash
            written = None if secret is None else b"\\x" + secret.hex().encode()
            self.step = (BEGIN_KEY_REQUEST, (_hex(principal.key.id), written, tenant, asked))

    @property
    def claim(self) -> Step:
        """Binds the tenant that is claimed, and asks nothing."""
        return BIND_TENANT, (_hex(self.tenant_id),)

    @property
    def sql(self) -> str:
        """The question as text: without parameters it can travel together with BEGIN."""
        query, values = self.step
        return f"SELECT {query.name.decode()}({', '.join(_literals(values))})"


def _hex(id: UUID | None) -> bytes | None:
    return None if id is None else b"%032x" % id.int


def _literals(values: Sequence[bytes | None]) -> list[str]:
    """Of hexadecimal digits, and at the end a name from the code."""
    *digits, permission = values
    return [*("NULL" if value is None else f"'{value.decode()}'" for value in digits), _literal(permission)]


@cache
def _literal(permission: bytes | None) -> str:
    return quote(permission.decode() if permission is not None else None).replace("%", "%%")
