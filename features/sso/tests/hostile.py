"""A provider of our own, for what no good one does: it says and signs whatever a test wants."""

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm

from tenantry.clock import now

__all__ = ("Hostile", "Mint")

Mint = Callable[["Hostile", dict[str, Any]], str]
KEY = generate_private_key(65537, 2048)
STRANGE_KEY = generate_private_key(65537, 2048)


def signed(claims: dict[str, Any], key: Any = KEY, algorithm: str = "RS256", **headers: Any) -> str:
    return jwt.encode(claims, key, algorithm, headers={"kid": "one", **headers})


def public(key: RSAPrivateKey) -> dict[str, Any]:
    return {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "one", "use": "sig"}


class Hostile:
    def __init__(self) -> None:
        self.asked: list[str] = []
        """Paths, in the order in which they were."""
        self.metadata: dict[str, Any] = {}
        """In place of what is true."""
        self.raw: dict[str, bytes] = {}
        """Whole answers by path."""
        self.keys = [public(KEY)]
        self.mint: Mint = lambda _, claims: signed(claims)
        self.claims: dict[str, Any] = {}
        self.codes: dict[str, dict[str, str]] = {}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.issuer = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    def authorize(self, at: str, **changes: str) -> str:
        """The address to which it sends a browser that came to `at`."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(at).query).items()}
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state'], **changes})}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ")[1]
        self.asked.append(path)
        lengths = [line for line in head.lower().split("\r\n") if line.startswith("content-length:")]
        body = await reader.readexactly(int(lengths[0].partition(":")[2])) if lengths else b""
        status, answer = "200 OK", self._answer(path, body, head)
        if answer is None:
            status, answer = "400 Bad Request", {"error": "invalid_grant"}
        content = json.dumps(answer).encode()
        plain = f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode() + content
        writer.write(self.raw.get(path, plain))
        writer.close()

    def _answer(self, path: str, body: bytes, head: str) -> Any:
        if path == "/jwks":
            return {"keys": self.keys}
        if path == "/token":
            return self._tokens({name: values[0] for name, values in parse_qs(body.decode()).items()}, head)
        endpoints = {name: f"{self.issuer}/{path}" for name, path in ENDPOINTS.items()}
        return {"issuer": self.issuer, **endpoints, **self.metadata}

    def _tokens(self, form: dict[str, str], head: str) -> Any:
        """It keeps to PKCE and to the client's secret itself, for these are to be proven, too."""
        asked = self.codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        secret = base64.b64encode(b"acme:hush").decode()
        if asked is None or asked["code_challenge"] != challenge or f"Basic {secret}" not in head:
            return None
        moment = now()
        claims = {
            "iss": self.issuer, "sub": "ada", "aud": asked["client_id"], "nonce": asked["nonce"],
            "iat": moment, "exp": moment + timedelta(minutes=5), **self.claims,
        }  # fmt: skip
        return {"id_token": self.mint(self, claims), "token_type": "Bearer"}


ENDPOINTS = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "jwks"}
