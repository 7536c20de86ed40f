"""Acts of sabotage on how people log in and prove who they are; see `sabotage.py`."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch


def asks_for_nothing_fresh() -> None:
    patch("tenantry.http.visit.Gate._require_fresh", lambda *_: None).start()


def believes_old_proofs() -> None:
    patch("tenantry.oidc.id_token.is_fresh", lambda *_: True).start()


def answers(place: str, value: object) -> Callable[[], None]:
    """Let a coroutine function answer this, whatever it is asked."""

    async def answer(*_: Any, **__: Any) -> Any:
        return value

    def begin() -> None:
        patch(place, answer).start()

    return begin


def verifies_no_owner() -> None:
    from webauthn import verify_authentication_response as original

    def verify(**given: Any) -> Any:
        return original(**given | {"require_user_verification": False})

    patch("features.passkeys.service.verify_authentication_response", verify).start()


def signs_for_any_site() -> None:
    from webauthn import verify_authentication_response as original
    from webauthn.helpers import parse_client_data_json

    def verify(**given: Any) -> Any:
        said = parse_client_data_json(given["credential"].response.client_data_json)
        return original(**given | {"expected_origin": said.origin})

    patch("features.passkeys.service.verify_authentication_response", verify).start()


def trusts_any_page() -> None:
    from tenantry.security.browser import BrowserMode

    patch.object(BrowserMode, "require_own_origin", lambda *_: None).start()


def trusts_any_csrf_token() -> None:
    patch("tenantry.security.browser.hmac.compare_digest", return_value=True).start()


def believes_cookies_beside_headers() -> None:
    from tenantry.http.visit import Gate

    original = Gate._authenticate

    def authenticate(self: Gate, scope: Any) -> Any:
        headers = [each for each in scope["headers"] if each[0] != b"cookie"]
        has_other = any(name in (b"authorization", b"x-api-key") for name, _ in headers)
        seen: Any = {**scope, "headers": headers} if has_other else scope
        return original(self, seen)

    patch.object(Gate, "_authenticate", authenticate).start()
