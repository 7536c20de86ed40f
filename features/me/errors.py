from tenantry.errors import BadRequest, Unprocessable


class InvalidAddressChange(BadRequest):
    code = "invalid_address_change"
    title = "The link is not valid, has expired or was used already"


class SameAddress(Unprocessable):
    code = "same_address"
    title = "This is your address already"

    def __init__(self) -> None:
        super().__init__(errors=[{"detail": f"{self.title}.", "pointer": "/email"}])
