"""What a handler answers, as a value until it leaves."""

from litestar import MediaType
from litestar.types import Receive, Scope, Send

__all__ = ("CONTENT_TYPE", "Answer")

CONTENT_TYPE = (b"content-type", MediaType.JSON.encode())


class Answer:
    """Encoded; it leaves when it is called."""

    __slots__ = ("body", "content", "headers", "status")

    def __init__(
        self, status: int, headers: list[tuple[bytes, bytes]], body: bytes = b"", content: object = None
    ) -> None:
        """`content` is what the body was made of."""
        self.status, self.headers, self.body, self.content = status, headers, body, content

    async def __call__(self, _: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})
