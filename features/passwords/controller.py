from html import escape
from typing import Annotated

from litestar import Controller, MediaType, Response, get, post
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, JSONBody, QueryParameter

from features.passwords.dtos import PasswordChange, PasswordForgotten, PasswordReset, ResetAccepted
from features.passwords.service import PasswordChangeService, PasswordResetService
from tenantry.errors import Unprocessable
from tenantry.http.policy import public, signed_in
from tenantry.security.principal import CurrentPrincipal
from tenantry.visitor import CurrentVisitor

FormBody = Body(media_type=RequestEncodingType.URL_ENCODED)
Token = Annotated[str, QueryParameter(max_length=512)]
Changing = NamedDependency[PasswordChangeService]
Resetting = NamedDependency[PasswordResetService]


class PasswordController(Controller):
    path = "/auth/password"

    @post("/change", opt=signed_in(audit="password.changed"), status_code=204, summary="Change the password")
    async def change(
        self, data: JSONBody[PasswordChange], password_change: Changing, principal: CurrentPrincipal,
        visitor: CurrentVisitor,
    ) -> None:  # fmt: skip
        """Ends all of your other sessions."""
        await password_change.change(data, principal, visitor)

    @post("/forgot", opt=public("for who cannot log in"), status_code=202, summary="Ask for a link to a new password")
    async def forgot(
        self, data: JSONBody[PasswordForgotten], password_reset: Resetting, visitor: CurrentVisitor
    ) -> ResetAccepted:
        """The answer does not tell whether the address is registered. At most three mails an hour go to one address."""
        await password_reset.send(data.email, visitor)
        return ResetAccepted()

    @post("/reset", opt=public("the link in the mail"), status_code=204, summary="Set a new password")
    async def reset(self, data: JSONBody[PasswordReset], password_reset: Resetting, visitor: CurrentVisitor) -> None:
        """Ends all sessions. Logging in then takes the new password, and the second factor where there is one."""
        await password_reset.reset(data.token, data.password, visitor)

    @get("/reset", opt=public("the link in the mail"), media_type=MediaType.HTML, include_in_schema=False)
    async def reset_page(self, token: Token) -> str:
        return form_page(token)

    @post("/reset/confirm", opt=public("the button on the page"), media_type=MediaType.HTML, status_code=200,
          include_in_schema=False)  # fmt: skip
    async def confirm(
        self, data: Annotated[PasswordReset, FormBody], password_reset: Resetting, visitor: CurrentVisitor
    ) -> Response[str]:
        try:
            await password_reset.reset(data.token, data.password, visitor)
        except Unprocessable as refusal:
            return Response(form_page(data.token, refusal.title), status_code=refusal.status)
        return Response(page("<h1>Your password is set</h1><p>You can log in with it now.</p>"))


def form_page(token: str, fault: str = "") -> str:
    return page(
        f"<h1>Set a new password</h1><p role=alert>{escape(fault)}</p>"
        "<form method=post action=/api/v1/auth/password/reset/confirm>"
        f'<input type=hidden name=token value="{escape(token)}">'
        "<p><label>New password, at least 8 characters<br><input type=password name=password minlength=8 maxlength=128"
        " autocomplete=new-password required autofocus></label></p><button>Set the password</button></form>"
    )


def page(content: str) -> str:
    return f"<!doctype html><html lang=en><meta charset=utf-8><title>Tenantry</title>{content}"
