"""An authenticator in software, as strict as the tests want it: WebAuthn Level 3, ES256, no attestation."""

import hashlib
import json
import secrets
import struct
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

__all__ = ("Authenticator",)

PRESENT, VERIFIED, CARRIES_KEY = 0x01, 0x04, 0x40
Json = dict[str, Any]


@dataclass
class Authenticator:
    """What it says of itself and of the page can be set to anything, as an attacker could."""

    origin: str
    verifies_user: bool = True
    sign_count: int = 0
    keys: dict[bytes, ec.EllipticCurvePrivateKey] = field(default_factory=dict)
    """By the id of the credential."""
    user_handle: bytes = b""
    reused_id: bytes = b""
    """Of the next credential, where it is not to be a new one."""

    def create(self, ceremony: Json) -> Json:
        """A new passkey, as the answer to `navigator.credentials.create`."""
        options = ceremony["public_key"]
        key, id = ec.generate_private_key(ec.SECP256R1()), self.reused_id or secrets.token_bytes(16)
        self.keys[id], self.user_handle = key, base64url_to_bytes(options["user"]["id"])
        numbers = key.public_key().public_numbers()
        x, y = (number.to_bytes(32, "big") for number in (numbers.x, numbers.y))
        cose = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})
        held = bytes(16) + struct.pack(">H", len(id)) + id + cose
        data = self._data(options["rp"]["id"], CARRIES_KEY) + held
        response = {
            "clientDataJSON": bytes_to_base64url(self._client_data("webauthn.create", options)),
            "attestationObject": bytes_to_base64url(cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})),
            "transports": ["internal", "hybrid"],
        }
        return self._credential(id, response)

    def get(self, ceremony: Json) -> Json:
        """A signature, as the answer to `navigator.credentials.get`."""
        options = ceremony["public_key"]
        allowed = {base64url_to_bytes(each["id"]) for each in options.get("allowCredentials", [])}
        id = next(id for id in self.keys if not allowed or id in allowed)
        data, client_data = self._data(options["rpId"], 0), self._client_data("webauthn.get", options)
        signed = self.keys[id].sign(data + hashlib.sha256(client_data).digest(), ec.ECDSA(hashes.SHA256()))
        response = {
            "clientDataJSON": bytes_to_base64url(client_data),
            "authenticatorData": bytes_to_base64url(data),
            "signature": bytes_to_base64url(signed),
            "userHandle": bytes_to_base64url(self.user_handle),
        }
        return self._credential(id, response)

    def _data(self, party: str, flags: int) -> bytes:
        self.sign_count += 1
        flags |= PRESENT | (VERIFIED if self.verifies_user else 0)
        return hashlib.sha256(party.encode()).digest() + struct.pack(">BI", flags, self.sign_count)

    def _client_data(self, type_: str, options: Json) -> bytes:
        told = {"type": type_, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": False}
        return json.dumps(told).encode()

    def _credential(self, id: bytes, response: Json) -> Json:
        text = bytes_to_base64url(id)
        return {"id": text, "rawId": text, "type": "public-key", "response": response, "clientExtensionResults": {}}
