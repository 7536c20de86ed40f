"""Typed settings, read once from the environment.

Order, strongest first: environment variable, `<NAME>_FILE` (path of a secret file), `.env`, default.
An empty value counts as not set.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from dotenv import dotenv_values

__all__ = (
    "ConfigurationError",
    "LoadedSettings",
    "Origin",
    "Settings",
    "load_settings",
    "masked",
    "variable",
)

Origin = Literal["environment", "secret file", ".env", ".env secret file", "default"]


class ConfigurationError(Exception):
    """A setting is missing or wrong. The message names the variable and says what to do."""


def about(text: str, *, secret: bool = False, example: str = "") -> msgspec.Meta:
    """What a person should know of a setting; `example` stands in `.env.example` where no default does."""
    return msgspec.Meta(description=text, extra={"secret": secret, "example": example})


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every field `x` is the variable `TENANTRY_X`."""

    env: Annotated[
        Literal["development", "production"], about("production refuses unsafe defaults and never migrates by itself")
    ] = "development"
    host: Annotated[str, about("Address to listen on")] = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535), about("Port to listen on")] = 8000
    workers: Annotated[int, msgspec.Meta(ge=1, le=256), about("Worker processes")] = 1
    home: Annotated[str, about("Folder in which development keeps its database, mail and keys")] = ".tenantry"
    public_url: Annotated[
        Annotated[str, msgspec.Meta(pattern=r"^https?://[^/?#]+(/[^?#]*)?$")] | None,
        about("Address that people and mails use for this service; development uses the port", example="https://…"),
    ] = None
    database_url: Annotated[
        str | None,
        about(
            "PostgreSQL 15 or newer, as the runtime role; without it development starts one from a wheel",
            secret=True,
            example="postgresql://tenantry_app:…@db.example/tenantry",
        ),
    ] = None
    migration_database_url: Annotated[
        str | None,
        about(
            "The same database as the migrator role; only `tenantry database …` uses it",
            secret=True,
            example="postgresql://tenantry_migrator:…@db.example/tenantry",
        ),
    ] = None
    database_pool_size: Annotated[
        int, msgspec.Meta(ge=1, le=1000), about("Connections to the database, per worker")
    ] = 10
    database_timeout_seconds: Annotated[
        float, msgspec.Meta(gt=0, le=3600), about("Longest that one statement may take")
    ] = 10.0
    redis_url: Annotated[
        str | None,
        about("Redis or Valkey for the shared cache; without it each worker has its own", secret=True,
              example="redis://:…@cache.example:6379/0"),
    ] = None  # fmt: skip
    smtp_url: Annotated[
        str | None,
        about("Mail server; without it development writes mail to files", secret=True,
              example="smtp+starttls://user:…@mail.example:587"),
    ] = None  # fmt: skip
    mail_from: Annotated[str, about("Sender of mail")] = "Tenantry <no-reply@localhost>"
    trusted_proxies: Annotated[
        str, about("Addresses or networks, comma-separated, whose X-Forwarded-For and -Proto are believed")
    ] = ""
    token_private_key: Annotated[
        str | None,
        about("Ed25519 private key (PEM) that signs access tokens; development makes one", secret=True,
              example="-----BEGIN PRIVATE KEY-----…"),
    ] = None  # fmt: skip
    access_token_seconds: Annotated[int, msgspec.Meta(ge=30, le=3600), about("Life of an access token")] = 600
    refresh_token_days: Annotated[
        int, msgspec.Meta(ge=1, le=365), about("Days without use after which a session ends")
    ] = 30
    password_hash_threads: Annotated[
        int, msgspec.Meta(ge=1, le=64), about("Passwords hashed at the same time, per worker (19 MiB each)")
    ] = 2
    max_body_bytes: Annotated[int, msgspec.Meta(ge=1024), about("Largest request body that is read")] = 1_048_576
    log_format: Annotated[
        Literal["console", "json"] | None, about("console or json; by default json in production")
    ] = None
    log_level: Annotated[Literal["debug", "info", "warning", "error"], about("Least severe level that is logged")] = (
        "info"
    )

    @property
    def base_url(self) -> str:
        return (self.public_url or f"http://127.0.0.1:{self.port}").rstrip("/")

    @property
    def home_path(self) -> Path:
        return Path(self.home).absolute()

    @property
    def is_production(self) -> bool:
        return self.env == "production"

    @property
    def uses_embedded_database(self) -> bool:
        return self.database_url is None and self.migration_database_url is None


class LoadedSettings(msgspec.Struct, frozen=True):
    settings: Settings
    origins: dict[str, Origin]
    """By field name, where its value came from."""


def variable(field: str) -> str:
    return f"TENANTRY_{field.upper()}"


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
        "smtp_url": "without a mail server nobody can confirm an address",
    }
    faults = [
        f"{variable(field)}: required in production: {why}"
        for field, why in required.items()
        if getattr(settings, field) is None
    ]
    if not settings.base_url.startswith("https://"):
        faults.append(f"{variable('public_url')}: must start with https:// in production")
    return faults
