"""Requests, as they are sent."""

BODY = b'{"name": "x"}'


def head(path: str, method: str = "GET", more: str = "") -> bytes:
    return f"{method} /api/v1{path} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode()


LONG, SHORT, HEALTH = head("/waiting/long"), head("/waiting/short"), head("/waiting/health")
CLOSING = "Connection: close\r\n"
IDLE, BUSY = 10.0, -1.0
"""Lags of the event loop that count as such, whatever else the machine does."""
