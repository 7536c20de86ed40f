"""What no client means to send: bodies, heads and bytes of every kind of wrong, for any operation that takes a body."""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

__all__ = ("Malformed", "bodies_of", "raw_requests")

GIGABYTE, PIECE = 1 << 30, 1 << 24
MANY = 60_000
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
VALUES = {
    "NUL": r'"a\u0000b"',
    "lone surrogate": r'"\ud800"',
    "reversed surrogates": r'"\udc00\ud800"',
    "2^63": str(2**63),
    "-2^63-1": str(-(2**63) - 1),
    "1e400": "1e400",
    "10,000 digits": "9" * 10_000,
    "10,000 decimals": "0." + "9" * 10_000,
    "NaN": "NaN",
    "-Infinity": "-Infinity",
    "long text": '"' + "x" * 900_000 + '"',
    "empty text": '""',
    "null": "null",
    "true": "true",
    "list": "[[]]",
    "object": '{"a": {"a": {}}}',
    "date": '"9999999-99-99T99:99:99Z"',
}
"""In the place of each field, as JSON writes them."""


class Malformed(NamedTuple):
    name: str
    content: bytes
    headers: Mapping[str, str]


def repeated(compressor: Any) -> bytes:
    """Stands for a gigabyte of zeros."""
    piece = compressor.compress(b"\0" * PIECE) + compressor.flush(zlib.Z_FULL_FLUSH)
    return bytes(piece * (GIGABYTE // PIECE))


def whole_bodies() -> Iterator[Malformed]:
    """Wrong whatever the fields are."""
    as_json = {"Content-Type": JSON}
    texts: dict[str, bytes] = {
        "lists, open": b"[" * 100_000,
        "lists, closed": b"[" * 100_000 + b"]" * 100_000,
        "objects, open": b'{"a":' * 100_000,
        "objects, closed": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        "wide": b"[" + b"{}," * MANY + b"{}]",
        "many keys": json.dumps({f"k{number}": 0 for number in range(MANY)}).encode(),
        "one key many times": b"{" + b'"a":1,' * MANY + b'"a":1}',
        "white space": b" " * 1_000_000,
        "nothing": b"",
        "open text": b'"' + b"\\" * 100_001,
        "UTF-16": '{"name": "x"}'.encode("utf-16"),
        "byte order mark": b"\xef\xbb\xbf{}",
        "too large": b'"' + b"x" * 2_000_000 + b'"',
    }
    yield from (Malformed(name, text, as_json) for name, text in texts.items())
    bombs = {
        "gzip": gzip.compress(b"\0" * PIECE) * (GIGABYTE // PIECE),
        "deflate": repeated(zlib.compressobj()),
        "br": b"\x8b\xff\xff\xff\x7f" * 200,
        "gzip, gzip": gzip.compress(gzip.compress(b"\0" * PIECE) * (GIGABYTE // PIECE)),
    }
    yield from (Malformed(coding, bomb, as_json | {"Content-Encoding": coding}) for coding, bomb in bombs.items())
    part = b'--b\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n\0\r\n'
    multipart = {"Content-Type": "multipart/form-data; boundary=b"}
    yield Malformed("1,000 parts", part * 1_000 + b"--b--\r\n", multipart)
    yield Malformed("a part without end", part[:-2] + b"x" * 100_000, multipart)
    yield Malformed("no boundary", part, {"Content-Type": "multipart/form-data"})
    yield Malformed("form of many", b"a=1&" * MANY, {"Content-Type": FORM})
    yield Malformed("form that is no UTF-8", b"grant_type=%ff%fe&username=%00", {"Content-Type": FORM})
    yield Malformed("XML", b'<!DOCTYPE a [<!ENTITY a "&a;&a;">]><a>&a;</a>', {"Content-Type": "application/xml"})
    yield Malformed("no type", b"{}", {"Content-Type": "\x01/json;;;="})
    yield Malformed("character set", b"{}", {"Content-Type": f"{JSON}; charset=utf-7"})
    yield Malformed("large head", b"{}", as_json | {"X-Large": "x" * 40_000})
    yield Malformed("many headers", b"{}", as_json | {f"X-{number}": "x" for number in range(200)})
    yield Malformed("accept", b"{}", as_json | {"Accept": "a/b;q=" + "9" * 5_000 + ",,;/*"})
    yield Malformed("key", b"{}", as_json | {"Idempotency-Key": "x" * 5_000, "If-Match": '"' * 3_000})


WHOLE = tuple(whole_bodies())


def bodies_of(fields: list[str], media_type: str) -> Iterator[Malformed]:
    """Those of `WHOLE`, then one for each of `VALUES`, in which all fields have it."""
    yield from WHOLE
    headers = {"Content-Type": media_type}
    for name, value in VALUES.items():
        if media_type == FORM:
            yield Malformed(name, "&".join(f"{field}={value}" for field in fields).encode(), headers)
        else:
            pairs = ", ".join(f'"{field}": {value}' for field in fields)
            yield Malformed(name, f"{{{pairs}}}".encode(), headers)
    field = fields[0].encode() if fields else b"a"
    yield Malformed("key twice", b'{"%b": "a", "%b": "b"}' % (field, field), headers)
    yield Malformed("no UTF-8", b'{"%b": "\xff\xfe\xc0\x80"}' % field, headers)
    yield Malformed("cut off", b'{"%b": "a' % field, headers)


def raw_requests(method: str, path: str, token: str) -> Iterator[bytes]:
    """What no HTTP library sends."""
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: {JSON}\r\n".encode()
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    yield chunked + b"ZZZ\r\n{}\r\n0\r\n\r\n"
    yield chunked + b"-1\r\n{}\r\n0\r\n\r\n"
    yield chunked + b"ffffffffffffffffff\r\n{}\r\n"
    yield chunked + b"2;" + b"x" * 20_000 + b"\r\n{}\r\n0\r\n\r\n"
    yield chunked + b"1\r\n{\r\n" * 1_000 + b"0\r\n" + b"X-Trailer: x\r\n" * 200 + b"\r\n"
    yield head + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}}"
    yield head + b"Content-Length: -2\r\n\r\n{}"
    yield head + b"Content-Length: " + b"9" * 100 + b"\r\n\r\n{}"
    yield head + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n"
    yield head + b"Content-Length: 2\r\nX: a\0b\r\n\r\n{}"
    yield head + b"Content-Length: 2\r\n\r\n{}\x00\xff GARBAGE\r\n\r\n"
