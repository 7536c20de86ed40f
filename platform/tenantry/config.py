"""Typed settings, read once from the environment.

Order, strongest first: environment variable, `<NAME>_FILE` (path of a secret file), `.env`, default.
An empty value counts as not set.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
from dotenv import dotenv_values

from tenantry.settings import Settings, variable

__all__ = (
    "ConfigurationError",
    "LoadedSettings",
    "Origin",
    "Settings",
    "load_settings",
    "masked",
    "variable",
)

LEAST_HASHING = 7 * 1024 * 5
"""The cheapest that OWASP calls enough: 7 MiB five times; its others are 9 MiB four times, 12 three times …"""
Origin = Literal["environment", "secret file", ".env", ".env secret file", "default"]


class ConfigurationError(Exception):
    """A setting is missing or wrong. The message names the variable and says what to do."""


class LoadedSettings(msgspec.Struct, frozen=True):
    settings: Settings
    origins: dict[str, Origin]
    """By field name, where its value came from."""


def load_settings(
    environ: Mapping[str, str] = os.environ, env_file: Path = Path(".env"), *, serving: bool = True
) -> LoadedSettings:
    """Read and check all settings; what production must have to serve, a command that does not serve can do without.

    Raises:
        ConfigurationError: with every variable that is wrong, a line each.
    """
    try:
        file_values = {k: v for k, v in dotenv_values(env_file).items() if v is not None} if env_file.is_file() else {}
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{env_file}: is not a text in UTF-8") from error
    values: dict[str, str] = {}
    origins: dict[str, Origin] = {}
    faults = _unknown_variables([*environ, *file_values])
    for field in Settings.__struct_fields__:
        try:
            found = _find(variable(field), environ, file_values)
        except ConfigurationError as error:
            faults.append(str(error))
            continue
        origins[field] = found[1] if found else "default"
        if found:
            values[field] = found[0]
    converted, wrong = _convert(values)
    faults += wrong
    if not faults:
        settings = Settings(**converted)
        faults += _production_faults(settings) if serving else []
    if faults:
        raise ConfigurationError("\n".join(faults))
    return LoadedSettings(settings, origins)


def masked(field: str, value: Any) -> str:
    """`value` as it may be shown: a secret never, of an address its password never."""
    info = next(f for f in msgspec.inspect.type_info(Settings).fields if f.name == field)  # type: ignore[attr-defined]  # type_info is declared as its base class
    if value is None:
        return "(not set)"
    if not (getattr(info.type, "extra", None) or {}).get("secret"):
        return str(value)
    # Not urlsplit: the database drivers take passwords with `/`, `?`, `#` and `@`, which it takes for something else.
    address = re.fullmatch(r"([a-z0-9+.-]+://)(?:([^:/?#@]*).*@)?([^@?#]*)(?:[?#].*)?", str(value), re.DOTALL)
    if address is None:
        return "***"
    user = f"{address[2]}:***@" if address[2] is not None else ""
    return f"{address[1]}{user}{address[3]}"


def _find(name: str, environ: Mapping[str, str], file_values: Mapping[str, str]) -> tuple[str, Origin] | None:
    candidates: tuple[tuple[Mapping[str, str], Origin, Origin], ...] = (
        (environ, "environment", "secret file"),
        (file_values, ".env", ".env secret file"),
    )
    for source, direct, through_file in candidates:
        if value := source.get(name):
            return value, direct
        if path := source.get(f"{name}_FILE"):
            try:
                text = Path(path).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ConfigurationError(f"{name}_FILE: cannot read {path!r}: {error.strerror}") from error
            except UnicodeDecodeError:
                raise ConfigurationError(f"{name}_FILE: {path!r} is not a text in UTF-8") from None
            if not text:
                raise ConfigurationError(f"{name}_FILE: {path!r} is empty")
            return text, through_file
    return None


def _convert(values: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    converted: dict[str, Any] = {}
    faults: list[str] = []
    for field, text in values.items():
        hint = Settings.__annotations__[field]
        try:
            converted[field] = msgspec.convert(text, hint, strict=False)
        except msgspec.ValidationError as error:
            faults.append(f"{variable(field)}: {error} (got {masked(field, text)!r})")
    return converted, faults


def _unknown_variables(names: list[str]) -> list[str]:
    known = {variable(field) + suffix for field in Settings.__struct_fields__ for suffix in ("", "_FILE")}
    return [
        f"{name}: there is no such setting; `tenantry config` lists them"
        for name in sorted(set(names))
        if name.startswith("TENANTRY_") and name not in known
    ]


def _production_faults(settings: Settings) -> list[str]:
    if not settings.is_production:
        return []
    required = {
        "database_url": "an embedded database is for development only",
        "token_private_key": "make one with `openssl genpkey -algorithm ed25519`",
        "key_encryption_key": "make one with `openssl rand -base64 32`",
        "smtp_url": "without a mail server nobody can confirm an address",
    }
    faults = [
        f"{variable(field)}: required in production: {why}"
        for field, why in required.items()
        if getattr(settings, field) is None
    ]
    if settings.password_hash_memory_kib * settings.password_hash_iterations < LEAST_HASHING:
        faults.append(
            f"{variable('password_hash_memory_kib')}: times {variable('password_hash_iterations')} must be at least "
            f"{LEAST_HASHING} in production, as OWASP asks of argon2id"
        )
    if not settings.base_url.startswith("https://"):
        faults.append(f"{variable('public_url')}: must start with https:// in production")
    if settings.sso_issuer and not settings.sso_issuer.startswith("https://"):
        faults.append(f"{variable('sso_issuer')}: must start with https:// in production")
    return faults
