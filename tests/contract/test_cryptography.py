"""All cryptography is listed in `docs/security.md`, approved, and used as it should be."""

import ast
import re
from pathlib import Path
from typing import get_args

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tenantry.security.keys import Algorithm, PrivateKey, key_from_pem, private_bytes
from tests.contract import security_document as document
from tests.contract.primitives import primitives_of, used_primitives

ROOT = Path(__file__).parents[2]
HASHES = {"SHA256", "hashlib.sha256", "hashlib.blake2b", "hashlib.file_digest(sha256)", "hmac.digest(sha256)"}
RANDOM = {"secrets"}
APPROVED = {
    "AESGCM",
    "argon2",
    "ec",
    "ed25519",
    "hkdf",
    "hmac.compare_digest",
    "jwt",
    "pyotp",
    "rsa",
    "ssl",
    "webauthn",
}
HARMLESS = {
    "platform/tenantry/security/breaches.py": {"hashlib.sha1"},
    "platform/tenantry/limits/redis_counter.py": {"hashlib.sha1"},
    "platform/tenantry/security/api_keys.py": {"zlib.crc32"},
    "platform/tenantry/http/visit.py": {"random"},
    "platform/tenantry/db/lane/fast_lane.py": {"random"},
    "platform/tenantry/mail/delivery.py": {"random"},
}
"""What would be too weak to protect anything, and does not."""
RSA_2048, P_224 = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP224R1())
PLANTED = """
import hashlib as h
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric import dsa, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hashlib import sha1
from hmac import digest as mac
import random, ssl

Cipher(algorithms.AES(key), modes.ECB())
padding.PKCS1v15(), dsa.generate_private_key(1024), h.new("md4"), mac(key, text, "sha1"), h.md5(text)
connection.execute("SELECT md5(password)")
"""
SECRET = re.compile(r"(^|_)(hash|digest|token|secret|signature|mac|csrf_token|challenge|verifier|nonce|password)$")


@pytest.mark.asvs("11.1.2", "11.1.3", "11.2.1")
def test_inventory_is_whole() -> None:
    """Each file that uses cryptography is in the document with all that it uses, and no other file is."""
    listed = {path: document.words(row[0]) for row in document.rows("With") for path in document.words(row[2])}

    assert used_primitives(ROOT) == listed


def test_discovery_sees_what_is_planted() -> None:
    """Whatever name it is imported by, and in SQL."""
    expected = {"AES", "Cipher", "ECB", "Fernet", "dsa", "padding", "hashlib.md5", "hashlib.new(md4)", "hashlib.sha1"}

    assert {*expected, "hmac.digest(sha1)", "random", "ssl", "SQL md5"} == primitives_of(PLANTED)


@pytest.mark.asvs("11.3.1", "11.3.2", "11.4.1", "11.4.3", "11.5.2")
def test_only_approved_ones_are_used() -> None:
    """Authenticated encryption alone, hashes of 256 bits, random numbers of the operating system. What is weaker is
    where it protects nothing.
    """
    rest = {path: found - HASHES - RANDOM - APPROVED for path, found in used_primitives(ROOT).items()}

    assert {path: found for path, found in rest.items() if found} == HARMLESS


@pytest.mark.asvs("11.1.1", "11.1.2")
def test_purposes_are_as_documented() -> None:
    """Each purpose for which a key is derived, each for one thing."""
    sources = [path for folder in ("features", "platform") for path in (ROOT / folder).rglob("*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources if "tests" not in path.parts)
    purposes = re.findall(r'^PURPOSE = b?"(.+)"$', text, re.MULTILINE)

    assert sorted(document.column("Purpose")) == sorted(purposes)


@pytest.mark.asvs("11.2.3", "11.6.1")
@pytest.mark.parametrize("weak", [RSA_2048, P_224], ids=["RSA 2048", "P-224"])
def test_weak_keys_do_not_sign(weak: PrivateKey) -> None:
    """A key of less than 128 bits of strength is refused."""
    with pytest.raises(ValueError, match="RSA of at least 3072 bits"):
        key_from_pem(private_bytes(weak, serialization.Encoding.PEM))


@pytest.mark.asvs("11.1.4")
def test_plan_names_what_there_is() -> None:
    """The plan for algorithms to come names each that signs now."""
    plan = document.text().partition("**Where other algorithms come in.**")[2]

    assert "Quantum" in plan
    assert {*get_args(Algorithm)} <= {*re.findall(r"\w+", document.text())}


@pytest.mark.asvs("11.2.4")
def test_secrets_are_compared_in_constant_time() -> None:
    """By `compare_digest`, or by the database, which looks up digests; never by `==`."""
    sources = [path for folder in ("features", "platform") for path in (ROOT / folder).rglob("*.py")]
    ours = [path for path in sources if not {"testing", "tests"} & {*path.parts}]
    found = {str(path): compared(path.read_text(encoding="utf-8")) for path in ours}

    assert ["stored.token_hash == given"] == compared("stored.token_hash == given, Row.token_hash == given, a == b")
    assert {} == {name: places for name, places in found.items() if places}


def compared(text: str) -> list[str]:
    """Comparisons of what is called like a secret. A column, `SomeRow.token_hash`, is compared by the database."""
    return [
        ast.unparse(node)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Compare)
        and isinstance(node.ops[0], ast.Eq | ast.NotEq)
        and not any(ast.unparse(side).partition(".")[0].endswith("Row") for side in (node.left, *node.comparators))
        and any(SECRET.search(name_of(side)) for side in (node.left, *node.comparators))
    ]


def name_of(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        return name_of(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
