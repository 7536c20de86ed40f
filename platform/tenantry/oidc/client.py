"""What is asked of a provider: its metadata and keys, which are kept for a while, and the tokens for a code."""

import base64
import hashlib
from datetime import datetime
from http import HTTPStatus
from time import monotonic
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

import msgspec
import structlog
from cachetools import TTLCache
from litestar.config.app import AppConfig
from litestar.plugins import InitPlugin

from tenantry.inject import provided
from tenantry.oidc.errors import InvalidIdToken, ProviderRefused, ProviderUnavailable
from tenantry.oidc.id_token import Claims, Expected, UnknownKey, believed, key_for
from tenantry.outbound import Outbound, OutboundFailed, OutboundRefused

__all__ = ("OpenIdClient", "OpenIdPlugin", "Provider", "Registration", "Request", "with_query")

_log = structlog.get_logger("tenantry.oidc")
PROVIDERS_KEPT, KEPT_SECONDS, KEYS_PAUSE_SECONDS, MOST_KEYS = 256, 600, 60, 50
SCOPE = "openid email profile"
ANEW = {"prompt": "login", "max_age": "0"}


class Metadata(msgspec.Struct, frozen=True):
    """OpenID Connect Discovery 1.0, section 3, as far as it is used."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    token_endpoint_auth_methods_supported: list[str] | None = None
    authorization_response_iss_parameter_supported: bool = False


class KeySet(msgspec.Struct):
    keys: list[dict[str, Any]]


class Tokens(msgspec.Struct):
    id_token: str
    access_token: str | None = None


class Provider:
    """One issuer, as this process knows it."""

    def __init__(self, metadata: Metadata) -> None:
        self.metadata = metadata
        self.keys: list[dict[str, Any]] = []
        self.keys_read_at = -float("inf")


class Registration(msgspec.Struct, frozen=True):
    """What a provider knows this service by."""

    issuer: str
    client_id: str
    client_secret: str
    redirect_uri: str


class Request(msgspec.Struct, frozen=True):
    """The secrets of one flow."""

    nonce: str
    verifier: str
    since: datetime | None = None
    """Now, where the person has to log in anew although the provider knows them."""

    @property
    def challenge(self) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


class OpenIdClient:
    """Handlers and services name it `openid`."""

    def __init__(self, outbound: Outbound) -> None:
        self.outbound = outbound
        self._providers: TTLCache[str, Provider] = TTLCache(PROVIDERS_KEPT, KEPT_SECONDS)

    async def provider(self, issuer: str) -> Provider:
        """
        Raises:
            ProviderUnavailable: it does not answer, or says that it is another.
        """
        if (known := self._providers.get(issuer)) is not None:
            return known
        metadata = await self._read(f"{issuer.rstrip('/')}/.well-known/openid-configuration", Metadata)
        if metadata.issuer != issuer or urlsplit(metadata.authorization_endpoint).scheme not in ("https", "http"):
            raise ProviderUnavailable("It is not the issuer that its address names.")
        provider = self._providers[issuer] = Provider(metadata)
        return provider

    async def authorization_url(self, at: Registration, request: Request, state: str) -> str:
        endpoint = (await self.provider(at.issuer)).metadata.authorization_endpoint
        asked = {
            "response_type": "code",
            "client_id": at.client_id,
            "redirect_uri": at.redirect_uri,
            "scope": SCOPE,
            "state": state,
            "nonce": request.nonce,
            "code_challenge": request.challenge,
            "code_challenge_method": "S256",
            **(ANEW if request.since is not None else {}),
        }
        return with_query(endpoint, **asked)

    async def redeem(self, at: Registration, request: Request, code: str) -> Claims:
        """Who somebody is, for the code that the provider has given them.

        Raises:
            ProviderUnavailable, ProviderRefused, InvalidIdToken, ProofNotFresh
        """
        provider = await self.provider(at.issuer)
        tokens = await self._tokens(provider.metadata, at, request, code)
        expected = Expected(at.issuer, at.client_id, request.nonce, request.since)
        try:
            key = key_for(tokens.id_token, await self._keys(provider))
        except UnknownKey:
            key = key_for(tokens.id_token, await self._keys(provider, anew=True))
        claims = believed(tokens.id_token, key, expected)
        if claims.email is None and tokens.access_token and provider.metadata.userinfo_endpoint:
            return await self._completed(claims, provider.metadata.userinfo_endpoint, tokens.access_token)
        return claims

    async def _tokens(self, metadata: Metadata, at: Registration, request: Request, code: str) -> Tokens:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": at.redirect_uri,
            "code_verifier": request.verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if "client_secret_basic" in (metadata.token_endpoint_auth_methods_supported or ["client_secret_basic"]):
            pair = f"{quote_plus(at.client_id)}:{quote_plus(at.client_secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": at.client_id, "client_secret": at.client_secret}
        tokens: Tokens = await self._read(metadata.token_endpoint, Tokens, headers, urlencode(form).encode())
        return tokens

    async def _keys(self, provider: Provider, *, anew: bool = False) -> list[dict[str, Any]]:
        """Read again for a token of an unknown key, but not as often as such tokens come."""
        if not provider.keys or (anew and monotonic() - provider.keys_read_at > KEYS_PAUSE_SECONDS):
            read = await self._read(provider.metadata.jwks_uri, KeySet)
            provider.keys, provider.keys_read_at = read.keys[:MOST_KEYS], monotonic()
        return provider.keys

    async def _completed(self, claims: Claims, endpoint: str, access_token: str) -> Claims:
        """With the address, of which some providers speak at another place only."""
        said = await self._read(endpoint, dict[str, Any], {"Authorization": f"Bearer {access_token}"})
        if said.get("sub") != claims.subject:
            raise InvalidIdToken
        email, name = said.get("email"), said.get("name")
        return msgspec.structs.replace(
            claims,
            email=email if isinstance(email, str) else None,
            email_verified=said.get("email_verified") is True,
            name=name if isinstance(name, str) else claims.name,
        )

    async def _read(
        self, url: str, type_: Any, headers: dict[str, str] | None = None, form: bytes | None = None
    ) -> Any:
        try:
            reply = await (
                self.outbound.get(url, headers) if form is None else self.outbound.post(url, form, headers or {})
            )
        except (OutboundFailed, OutboundRefused) as error:
            # What is wrong stays here: the host may be one that a tenant has chosen, and must not learn about.
            _log.warning("oidc.unavailable", endpoint=url, error=repr(error))
            raise ProviderUnavailable from error
        if form is not None and reply.status in (400, 401):
            _log.warning("oidc.refused", endpoint=url, status=reply.status)
            raise ProviderRefused
        try:
            if reply.status == HTTPStatus.OK:
                return msgspec.json.decode(reply.body, type=type_)
        except (msgspec.DecodeError, UnicodeError) as error:
            _log.warning("oidc.unavailable", endpoint=url, error=type(error).__name__)
            raise ProviderUnavailable from error
        _log.warning("oidc.unavailable", endpoint=url, status=reply.status)
        raise ProviderUnavailable


def with_query(url: str, **added: str) -> str:
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(added)}"


class OpenIdPlugin(InitPlugin):
    def __init__(self, outbound: Outbound) -> None:
        self.client = OpenIdClient(outbound)

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.dependencies["openid"] = provided(self.client)
        return app_config
