from html import escape
from typing import Annotated

from litestar import Controller, MediaType, get, post
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, JSONBody, QueryParameter

from features.accounts.dtos import Accepted, EmailVerification, SignUp, VerificationResend
from features.accounts.service import AccountService
from tenantry.http.policy import public

FormBody = Body(media_type=RequestEncodingType.URL_ENCODED)
Token = Annotated[str, QueryParameter(max_length=512)]
PAGE = "<!doctype html><html lang=en><meta charset=utf-8><title>Tenantry</title>"
Accounts = NamedDependency[AccountService]


class AccountController(Controller):
    path = "/auth"

    @post("/signup", opt=public("how an account begins"), status_code=202, summary="Sign up")
    async def sign_up(self, data: JSONBody[SignUp], accounts: Accounts) -> Accepted:
        """Sends a link to confirm the address. The answer does not tell whether it is registered already."""
        await accounts.sign_up(data)
        return Accepted()

    @post("/email/resend", opt=public("before there is an account"), status_code=202, summary="Send the link again")
    async def resend(self, data: JSONBody[VerificationResend], accounts: Accounts) -> Accepted:
        """At most once a minute for an address."""
        await accounts.resend(data.email)
        return Accepted()

    @get("/email/verify", opt=public("the link in the mail"), media_type=MediaType.HTML, include_in_schema=False)
    async def confirmation_page(self, token: Token) -> str:
        """A page with one button: programs that look at links in mails must not confirm addresses."""
        return (
            f"{PAGE}<h1>Confirm your e-mail address</h1><form method=post action=/api/v1/auth/email/confirm>"
            f'<input type=hidden name=token value="{escape(token)}"><button>Confirm</button></form>'
        )

    @post("/email/confirm", opt=public("the button on the page"), media_type=MediaType.HTML, status_code=200,
          include_in_schema=False)  # fmt: skip
    async def confirm(self, data: Annotated[EmailVerification, FormBody], accounts: Accounts) -> str:
        await accounts.verify(data.token)
        return f"{PAGE}<h1>Your address is confirmed</h1><p>You can log in now.</p>"

    @post("/email/verify", opt=public("the link in the mail"), status_code=204, summary="Confirm an address")
    async def verify(self, data: JSONBody[EmailVerification], accounts: Accounts) -> None:
        await accounts.verify(data.token)
