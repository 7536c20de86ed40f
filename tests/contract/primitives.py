"""Finds all cryptography in the code: which hashes, ciphers, signatures, random numbers and TLS a file uses."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

__all__ = ("primitives_of", "used_primitives")

AS_A_WHOLE = {"argon2", "jwt", "pyotp", "random", "secrets", "ssl", "webauthn"}
"""Libraries of which it matters that they are used, and not what of them."""
IN_PARTS = {"cryptography", "hashlib", "hmac", "zlib"}
BY_NAME = {"hashlib.file_digest", "hashlib.new", "hmac.digest", "hmac.new"}
"""They take the name of a hash."""
KINDS = {"asymmetric", "ciphers", "fernet", "hashes", "hmac", "kdf", "padding", "x509"}
MODULES_OF_CIPHERS = {"aead", "algorithms", "modes"}
IN_SQL = re.compile(r"\b(md5|sha\d+|digest|crypt|hmac|pgp_\w+|gen_random_\w+)\s*\(")
LEFT_OUT = {"seed.py", "seeding.py", "testing", "tests"}
"""Made-up people and tests protect nobody."""


@cache
def used_primitives(root: Path) -> dict[str, set[str]]:
    """By path, of each file that uses any."""
    files = [file for folder in ("features", "platform", "migrations") for file in (root / folder).rglob("*.py")]
    ours = [file for file in sorted(files) if not LEFT_OUT & {*file.relative_to(root).parts}]
    found = {file.relative_to(root).as_posix(): primitives_of(file.read_text(encoding="utf-8")) for file in ours}
    return {path: primitives for path, primitives in found.items() if primitives}


def primitives_of(text: str) -> set[str]:
    """`hashlib.sha256`, `hmac.digest(sha256)`, `AESGCM`, `secrets`, `SQL md5` …"""
    tree = ast.parse(text)
    nodes, names = [*ast.walk(tree)], dict(imported(tree))
    used = {*names.values()}
    for node in nodes:
        if isinstance(node, ast.Attribute | ast.Name) and (name := whole_name(node, names)):
            used.add(name)
        if isinstance(node, ast.Call) and (name := whole_name(node.func, names)) in BY_NAME:
            texts = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            used.add(f"{name}({texts[-1] if texts else '?'})")
    strings = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    in_sql = {f"SQL {call}" for string in strings for call in IN_SQL.findall(string)}
    return {name for name in map(shortened, used - BY_NAME) if name} | in_sql


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """What a name in the file stands for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((each.asname or each.name.partition(".")[0], each.name) for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((each.asname or each.name, f"{node.module}.{each.name}") for each in node.names)


def whole_name(node: ast.expr, names: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return names.get(node.id)
    base = whole_name(node.value, names) if isinstance(node, ast.Attribute) else None
    return f"{base}.{node.attr}" if base and isinstance(node, ast.Attribute) else None


def shortened(name: str) -> str | None:
    library, *parts = name.split(".")
    if library in AS_A_WHOLE:
        return library
    if library not in IN_PARTS or not parts or parts[-1] == "error":
        return None
    if library != "cryptography":
        return f"{library}.{parts[0]}"
    after = next((parts[at + 1 :] for at, part in enumerate(parts) if part in KINDS), [])
    return next((part for part in after if part not in MODULES_OF_CIPHERS), None)
