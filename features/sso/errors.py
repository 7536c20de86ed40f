from tenantry.errors import BadRequest


class ReturnUrlNotAllowed(BadRequest):
    code = "sso_return_url_not_allowed"
    title = "This service does not send people to this address; see TENANTRY_SSO_RETURN_URLS"


class InvalidState(BadRequest):
    code = "sso_state_invalid"
    title = "This log-in was not begun in this browser, took too long or is over; begin again"


class WrongIssuer(BadRequest):
    code = "sso_issuer_mismatch"
    title = "The answer comes from another identity provider than was asked; begin again"


class InvalidCode(BadRequest):
    code = "sso_code_invalid"
    title = "The code is not of this browser, has expired or was used already; begin again"
