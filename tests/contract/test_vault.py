"""Stored secrets are sealed: for what they are, whose they are, and under a key that can be replaced."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from tenantry.config import ConfigurationError, Settings
from tenantry.security.vault import CannotOpen, Vault

OLD, NEW = (base64.b64encode(bytes([byte]) * 32).decode() for byte in (1, 2))


def vault(*keys: str) -> Vault:
    return Vault.from_settings(Settings(key_encryption_key=",".join(keys)))


@pytest.mark.asvs("11.3.2", "11.3.4")
def test_what_is_sealed_opens_again() -> None:
    """And two seals of the same secret have nothing in common but the key's name."""
    sealed = [vault(NEW).seal(b"secret", purpose="proof", owner=b"row") for _ in range(2)]

    assert [b"secret", b"secret"] == [vault(NEW).open(each, purpose="proof", owner=b"row") for each in sealed]
    assert sealed[0][:5] == sealed[1][:5]
    assert sealed[0][5:] != sealed[1][5:]
    assert b"secret" not in sealed[0]


@pytest.mark.asvs("11.2.5", "11.3.3")
@pytest.mark.parametrize(
    "attempt",
    [
        lambda sealed: vault(NEW).open(sealed, purpose="another purpose", owner=b"row"),
        lambda sealed: vault(NEW).open(sealed, purpose="proof", owner=b"another row"),
        lambda sealed: vault(OLD).open(sealed, purpose="proof", owner=b"row"),
        lambda sealed: vault(NEW).open(sealed[:-1], purpose="proof", owner=b"row"),
        lambda sealed: vault(NEW).open(b"", purpose="proof", owner=b"row"),
        *(
            lambda sealed, at=at: vault(NEW).open(
                sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :], purpose="proof", owner=b"row"
            )
            for at in (0, 1, 5, 17, 22)
        ),
    ],
)
def test_anything_else_does_not(attempt: Callable[[bytes], bytes]) -> None:
    """Another purpose, row or key, and any byte that was changed."""
    with pytest.raises(CannotOpen):
        attempt(vault(NEW).seal(b"secret", purpose="proof", owner=b"row"))


@pytest.mark.asvs("11.2.2")
def test_a_new_key_takes_over() -> None:
    """What the old key has sealed opens as long as it is named, and is known to be old."""
    sealed = vault(OLD).seal(b"secret", purpose="proof")

    assert b"secret" == vault(NEW, OLD).open(sealed, purpose="proof")
    assert not vault(NEW, OLD).is_current(sealed)
    assert vault(NEW, OLD).is_current(vault(NEW, OLD).seal(b"secret", purpose="proof"))


def test_development_keeps_its_key(tmp_path: Path) -> None:
    """A restart opens what was sealed before; nobody else may read the key."""
    settings = Settings(home=str(tmp_path))
    sealed = Vault.from_settings(settings).seal(b"secret", purpose="proof")

    assert b"secret" == Vault.from_settings(settings).open(sealed, purpose="proof")
    assert 0o600 == (tmp_path / "keys" / "encryption.key").stat().st_mode & 0o777


@pytest.mark.parametrize("text", ["short", base64.b64encode(b"x" * 31).decode(), f"{NEW},"])
def test_a_wrong_key_is_refused(text: str) -> None:
    """The fault names the variable, and not the key."""
    with pytest.raises(ConfigurationError, match="TENANTRY_KEY_ENCRYPTION_KEY") as refusal:
        vault(text)

    assert text not in str(refusal.value)
