"""Entity tags: `"<version of the row>-<digest of the answer>"`, strong.

The digest makes a tag true of all that an answer shows, also where that comes from elsewhere than the row, or from
code that was released since. The version is what a change compares: it stands in the row, where it can be locked.
"""

import re
from collections.abc import Mapping
from hashlib import blake2b
from http import HTTPStatus
from typing import Any
from uuid import UUID

from litestar.types import Scope

from tenantry.db.versions import Precondition
from tenantry.errors import AppError
from tenantry.http.answer import Answer
from tenantry.security.principal import Principal

__all__ = ("PreconditionRequired", "conditional", "header_of", "precondition_of")

TAG = re.compile(rb'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
OWN_TAG = re.compile(rb"([0-9]{1,10})-[0-9a-f]{16}")


class PreconditionRequired(AppError):
    status = HTTPStatus.PRECONDITION_REQUIRED
    code = "precondition_required"
    title = "Send the ETag of what you have read as If-Match"


def conditional(answer: Answer, version: int, scope: Scope, *, is_read: bool) -> Answer:
    """The answer with its tag, or 304 where the caller has said in `If-None-Match` that they have it."""
    tag = b'"%d-%b"' % (version, blake2b(answer.body, digest_size=8).hexdigest().encode())
    answer.headers.append((b"etag", tag))
    if is_read and (known := header_of(scope, b"if-none-match")) is not None and is_known(tag, known):
        return Answer(HTTPStatus.NOT_MODIFIED, [(b"etag", tag)])
    return answer


def is_known(tag: bytes, known: bytes) -> bool:
    """Tags are compared weakly here."""
    return known == b"*" or any(opaque == tag[1:-1] for _, opaque in TAG.findall(known))


def precondition_of(scope: Scope, principal: Principal) -> Precondition | None:
    """`If-Match`, which compares strongly, of the row that the path names: by its last id, or as the active tenant."""
    wanted = header_of(scope, b"if-match")
    if wanted is None:
        return None
    target = target_of(scope["path_params"]) or principal.tenant_id
    if wanted == b"*":
        return Precondition(target, None)
    own = (OWN_TAG.fullmatch(opaque) for weak, opaque in TAG.findall(wanted) if not weak)
    return Precondition(target, frozenset(int(tag[1]) for tag in own if tag))


def target_of(path_params: Mapping[str, Any]) -> UUID | None:
    return next((value for value in reversed([*path_params.values()]) if isinstance(value, UUID)), None)


def header_of(scope: Scope, name: bytes) -> bytes | None:
    """Several lines of one header are one list."""
    found: bytes | None = None
    for header, value in scope["headers"]:
        if header == name:
            found = value.strip() if found is None else b"%b, %b" % (found, value)
    return found
