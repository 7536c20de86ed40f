from tenantry.errors import BadRequest, Unprocessable


class WrongPassword(Unprocessable):
    """Not 401: who asks is logged in, and has mistyped a member of the body."""

    code = "wrong_password"
    title = "This is not the current password"

    def __init__(self) -> None:
        super().__init__(errors=[{"detail": f"{self.title}.", "pointer": "/current_password"}])


class InvalidReset(BadRequest):
    code = "invalid_reset"
    title = "The link is not valid, has expired or was used already"
