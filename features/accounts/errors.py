from tenantry.errors import BadRequest


class InvalidVerification(BadRequest):
    code = "invalid_verification"
    title = "The link is not valid, has expired or was used already"
