"""Remembered tokens: cheaper than the signature, and never good for longer."""

import hashlib
from datetime import UTC, datetime, timedelta
from timeit import repeat
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar

from tenantry.clock import frozen_at, now
from tenantry.security.keys import KeyRing
from tenantry.security.plugin import SecurityPlugin
from tenantry.security.principal import Principal
from tenantry.security.tokens import CLOCK_SKEW_SECONDS, InvalidToken, TokenService
from tenantry.testing import Account, Api, TenantHandle, World, problem

KEY = Ed25519PrivateKey.generate()
ISSUER = "https://tenantry.example"
LIFETIME, SKEW = timedelta(minutes=10), timedelta(seconds=CLOCK_SKEW_SECONDS)
INSTANT = timedelta(microseconds=1)
NOON = datetime(2027, 1, 1, 12, tzinfo=UTC)
MOMENTS = st.one_of(
    st.sampled_from([edge + near for edge in (-SKEW, LIFETIME + SKEW) for near in (-INSTANT, timedelta(0), INSTANT)]),
    st.timedeltas(-3 * SKEW, LIFETIME + 3 * SKEW),
).map(lambda after: NOON + after)


def service(*, remembered: int = 100, key: Ed25519PrivateKey = KEY, issuer: str = ISSUER) -> TokenService:
    return TokenService(KeyRing.of(key), issuer=issuer, lifetime=LIFETIME, remembered=remembered)


def token(number: int, issued: datetime = NOON) -> str:
    with frozen_at(issued):
        return service().issue(Principal(UUID(int=number), UUID(int=number), None))


TOKENS = [token(number) for number in range(4)]
MISSPELT = [f"{text}!!!!" for text in TOKENS] + [text[:-1] + chr(ord(text[-1]) + 1) for text in TOKENS]
BROKEN = [f"{text}A" for text in TOKENS] + [text.replace(".", ".e30", 1) for text in TOKENS] + ["", "a.b.c", "\ud800"]
FORGERIES = MISSPELT + BROKEN


def answer(tokens: TokenService, credential: str) -> Principal | str:
    try:
        return tokens.verify(credential.encode(errors="surrogatepass"))
    except InvalidToken as refusal:
        return str(refusal)


@pytest.fixture
def tokens(app: Litestar) -> TokenService:
    return app.plugins.get(SecurityPlugin).tokens


@pytest.fixture
async def ada(world: World) -> Account:
    return await world.account()


async def test_expiry_ends_a_remembered_token(api: Api, ada: Account, tokens: TokenService) -> None:
    """A token that was good is refused from the instant of its expiry, in the words for one seen for the first time."""
    moment = now().replace(microsecond=0)
    with frozen_at(moment):
        used, unused = (tokens.issue(Principal(ada.id, ada.session_id, None)) for _ in range(2))
        first = await api.bearing(used).get("/me")
    with frozen_at(moment + tokens.lifetime + SKEW - INSTANT):
        last = await api.bearing(used).get("/me")
    with frozen_at(moment + tokens.lifetime + SKEW):
        refused, never_seen = await api.bearing(used).get("/me"), await api.bearing(unused).get("/me")

    assert (200, 200) == (first.status_code, last.status_code)
    assert problem(401, "invalid_token", detail="It has expired.") == refused
    assert problem(401, "invalid_token", detail="It has expired.") == never_seen
    assert never_seen.headers["www-authenticate"] == refused.headers["www-authenticate"]


async def test_clock_set_back(api: Api, ada: Account) -> None:
    """Where the clock stands before its beginning, a remembered token is refused like any other."""
    first = await api.as_(ada).get("/me")
    with frozen_at(now() - timedelta(minutes=1)):
        refused = await api.as_(ada).get("/me")

    assert 200 == first.status_code
    assert problem(401, "invalid_token", detail="The access token is not valid.") == refused


async def test_session_ends_before_its_remembered_token(api: Api, acme: TenantHandle) -> None:
    """What is remembered is that a token is genuine; whether the session still holds is asked each time."""
    first = await api.as_(acme.owner).get("/me")
    ended = await api.as_(acme.owner).post("/auth/logout")
    refused = await api.as_(acme.owner).get("/me")

    assert (200, 204) == (first.status_code, ended.status_code)
    assert problem(401, "session_ended") == refused


@given(st.lists(st.tuples(st.sampled_from(TOKENS + FORGERIES), MOMENTS), max_size=30))
def test_remembering_changes_no_answer(uses: list[tuple[str, datetime]]) -> None:
    """In any order, at any moment, answers are those of a service that sees the token for the first time."""
    remembering = service(remembered=2)
    for credential, moment in uses:
        with frozen_at(moment):
            expected, actual = answer(service(), credential), answer(remembering, credential)

        assert expected == actual
        assert len(remembering._verified) <= 2


def test_forgeries_displace_nothing() -> None:
    """What is refused is not remembered: a flood of forged, misspelt or expired tokens leaves what was."""
    remembering = service(remembered=len(TOKENS))
    yesterday = [token(number, NOON - timedelta(days=1)) for number in range(20)]
    with frozen_at(NOON):
        for credential in TOKENS:
            remembering.verify(credential.encode())
        before = set(remembering._verified)
        refusals = [answer(remembering, credential) for credential in FORGERIES + yesterday]

    assert {"The access token is not valid", "It has expired."} == set(refusals)
    assert before == set(remembering._verified)


def test_flood_of_genuine_tokens() -> None:
    """However many genuine tokens come, no more than the bound are remembered, and one in use is among them."""
    remembering = service(remembered=10)
    with frozen_at(NOON):
        for number in range(200):
            remembering.verify(TOKENS[0].encode())
            remembering.verify(token(1000 + number).encode())

    assert 10 == len(remembering._verified)
    assert hashlib.sha256(TOKENS[0].encode()).digest() in remembering._verified


@pytest.mark.parametrize("other", [service(key=Ed25519PrivateKey.generate()), service(issuer="https://other.example")])
def test_services_share_nothing(other: TokenService) -> None:
    """A token that the service of one key and issuer remembers is refused by that of another."""
    own = service()
    with frozen_at(NOON):
        accepted = answer(own, TOKENS[0])
        refused = answer(other, TOKENS[0])

    assert Principal(UUID(int=0), UUID(int=0), None) == accepted
    assert "The access token is not valid" == refused


def test_credentials_are_not_kept() -> None:
    """What is remembered of a token is its SHA-256 and whom it names."""
    remembering = service()
    with frozen_at(NOON):
        remembering.verify(TOKENS[0].encode())
    [(key, kept)] = remembering._verified.items()

    assert hashlib.sha256(TOKENS[0].encode()).digest() == key
    assert all(part not in repr(kept) for part in TOKENS[0].split("."))


def test_remembered_token_is_cheap() -> None:
    """A remembered token costs at most a tenth of one seen for the first time."""
    remembering, fresh = service(), [service() for _ in range(50)]
    with frozen_at(NOON):
        first = sum(repeat(lambda: fresh.pop().verify(TOKENS[0].encode()), number=1, repeat=50)) / 50
        remembering.verify(TOKENS[0].encode())
        again = min(repeat(lambda: remembering.verify(TOKENS[0].encode()), number=100, repeat=50)) / 100

    assert again < first / 10
