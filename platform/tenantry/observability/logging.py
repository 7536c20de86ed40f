"""Structured logs: console lines for people, JSON for machines; secrets and addresses never in clear."""

import hashlib
import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import msgspec
import structlog
from litestar.config.app import AppConfig
from litestar.plugins import InitPlugin

from tenantry.config import Settings
from tenantry.context import current_request
from tenantry.observability.access import LineHandler, render_access_as_json

__all__ = ("LoggingPlugin", "configure_logging", "redact")

SECRET_KEYS = re.compile(
    r"pass(word|wd|phrase)|secret|token|authorization|cookie|api_?key|private|credential", re.IGNORECASE
)
ADDRESS_KEYS = re.compile(r"e_?mail", re.IGNORECASE)
LOCAL = r"[\w.!#$%&'*+/=?^`{|}~-]"  # a character of an address before its @
# Those that could begin anywhere in a run of characters begin where the run does, so that a long one is read once.
PATTERNS = (
    (re.compile(r"(?<![\w-])eyJ[\w-]{8,}+\.[\w-]++\.[\w-]*"), lambda _: "[token]"),
    (re.compile(r"tny_[\w-]{16,}"), lambda _: "[API key]"),
    (re.compile(r"(?i)\bbearer\s+[\w.~+/=-]+"), lambda _: "Bearer [token]"),
    (re.compile(r"-----BEGIN [^-]+-----.*?(-----END [^-]+-----|$)", re.DOTALL), lambda _: "[key]"),
    (re.compile(r"\$argon2\w+\$[^\s'\"]+"), lambda _: "[hash]"),
    # What SQLAlchemy and PostgreSQL tell of the values of a statement that failed.
    (re.compile(r"\[parameters: .*"), lambda _: "[parameters hidden]"),
    (re.compile(r"(?<=Failing row contains )\(.*\)", re.DOTALL), lambda _: "(hidden)"),
    (re.compile(r"(?<=://)[^/\s:@]*:\S+(?=@)"), lambda _: "[password]"),
    (re.compile(rf"(?<!{LOCAL}){LOCAL}++@[\w-]+(\.[\w-]+)+"), lambda match: _address(match[0])),
)
# What may stand right before an address, in `email=ada@example.com` or 'ada@example.com', and is in few addresses.
BEFORE_ADDRESS = re.compile(r".*[=/?&'`{|]")
Event = MutableMapping[str, Any]


class LoggingPlugin(InitPlugin):
    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        configure_logging(self.settings)
        return app_config


def configure_logging(settings: Settings) -> None:
    """Send our events and those of libraries through the same processors to standard output."""
    as_json = (settings.log_format or ("json" if settings.is_production else "console")) == "json"
    shared: list[Any] = [
        add_request,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redact,
        *(() if as_json else (escape,)),
    ]
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    json = structlog.processors.JSONRenderer(separators=(",", ":"))
    rendering: list[Any] = [in_order, json] if as_json else [console]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        cache_logger_on_first_use=False,
    )
    handler = LineHandler(sys.stdout)
    render_access_as_json(handler if as_json else None)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    # uvicorn's own access line would repeat ours, with the query string in clear.
    logging.getLogger("uvicorn.access").disabled = True
    for noisy in ("httpx", "httpcore", "asyncio", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def in_order(_: Any, __: str, event: Event) -> Event:
    """First what every line has, so that a person can read down a column."""
    first = {key: event[key] for key in ("timestamp", "level", "logger", "event") if key in event}
    return {**first, **event}


def add_request(_: Any, __: str, event: Event) -> Event:
    """Say for which request, and for whom, the line was written."""
    if (record := current_request()) is not None:
        for key, value in (
            ("request_id", record.request_id or None),
            ("trace_id", record.trace_id),
            ("actor", record.actor),
            ("tenant", record.claimed_tenant),
            ("effect", record.effect),
        ):
            if value is not None:
                event.setdefault(key, str(value))
    return event


def redact(_: Any, __: str, event: Event) -> Event:
    """Mask by key, then by pattern, at any depth. E-mail addresses become a fingerprint that can be correlated."""
    for key, value in event.items():
        if not key.startswith("_"):
            event[key] = _clean(value, key)
    return event


def escape(_: Any, __: str, event: Event) -> Event:
    """What a client sent must not move the cursor of a terminal, nor begin a line that looks like ours."""
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            kept = "\n" if key in ("exception", "stack") else ""
            event[key] = "".join(c if c.isprintable() or c in kept else ascii(c)[1:-1] for c in value)
    return event


def _clean(value: Any, key: str = "") -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if SECRET_KEYS.search(key):
        return "***"
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, dict):
        return {k: _clean(v, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item) for item in value]
    text = value if isinstance(value, str) else repr(value) if isinstance(value, BaseException) else str(value)
    if ADDRESS_KEYS.search(key):
        return _address(text)
    for pattern, replacement in PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def _address(text: str) -> str:
    address = BEFORE_ADDRESS.sub("", text.strip().lower())
    return f"[email {hashlib.sha256(address.encode()).hexdigest()[:12]}]"
