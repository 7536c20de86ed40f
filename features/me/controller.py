from html import escape
from typing import Annotated

from litestar import Controller, MediaType, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, JSONBody, QueryParameter

from features.accounts.api import Account
from features.me.dtos import (
    AddressChange,
    AddressChangeAccepted,
    AddressChangeProgress,
    AddressConfirmation,
    MePatch,
    MyData,
)
from features.me.service import AddressService, DepartureService, ProfileService
from tenantry.http.policy import public, signed_in
from tenantry.security.principal import CurrentPrincipal
from tenantry.visitor import CurrentVisitor

FormBody = Body(media_type=RequestEncodingType.URL_ENCODED)
Token = Annotated[str, QueryParameter(max_length=512)]
PAGE = "<!doctype html><html lang=en><meta charset=utf-8><title>Tenantry</title>"
Profile = NamedDependency[ProfileService]
Addresses = NamedDependency[AddressService]
Departure = NamedDependency[DepartureService]


class MeController(Controller):
    path = "/me"

    @get(opt=signed_in(confined=True), summary="Who am I")
    async def me(self, profile: Profile, principal: CurrentPrincipal) -> Account:
        return await profile.get(principal)

    @patch(opt=signed_in(audit="account.changed"), summary="Change my profile")
    async def change(self, data: JSONBody[MePatch], profile: Profile, principal: CurrentPrincipal) -> Account:
        """Fields that are left out stay as they are. The address has a way of its own: `POST /me/email`."""
        return await profile.change(data, principal)

    @get("/export", opt=signed_in(audit="account.exported", fresh_auth=True), summary="Export my data")
    async def export(self, profile: Profile, principal: CurrentPrincipal) -> Response[MyData]:
        """A file with all that is kept of you and belongs to no tenant."""
        disposition = 'attachment; filename="my-data.json"'
        return Response(await profile.export(principal), headers={"Content-Disposition": disposition})

    @delete(opt=signed_in(audit="account.deleted", fresh_auth=True), summary="Delete my account")
    async def depart(self, departure: Departure, principal: CurrentPrincipal) -> None:
        """For ever. You leave all tenants first, so none may be left without an owner.

        What your tenants have stays theirs; where it names you, it names nobody from now on.
        """
        await departure.depart(principal)


class AddressController(Controller):
    path = "/me/email"

    @post(opt=signed_in(fresh_auth=True), status_code=202, summary="Change my address")
    async def begin(
        self, data: JSONBody[AddressChange], addresses: Addresses, principal: CurrentPrincipal
    ) -> AddressChangeAccepted:
        """Sends a link to the old and one to the new address; it changes when both were used.

        The answer does not tell whether the new address is somebody's.
        """
        await addresses.begin(data.email, principal)
        return AddressChangeAccepted()

    @post("/confirm", opt=public("the link in the mail"), status_code=200, summary="Confirm a change of address")
    async def confirm(
        self, data: JSONBody[AddressConfirmation], addresses: Addresses, visitor: CurrentVisitor
    ) -> AddressChangeProgress:
        """From either end."""
        has_changed = await addresses.confirm(data.token, visitor)
        return AddressChangeProgress("changed" if has_changed else "waiting")

    @get("/confirm", opt=public("the link in the mail"), media_type=MediaType.HTML, include_in_schema=False)
    async def page(self, token: Token) -> str:
        """With one button: programs that look at links in mails must not confirm anything."""
        return (
            f"{PAGE}<h1>Confirm the change of your e-mail address</h1>"
            "<form method=post action=/api/v1/me/email/confirm/form>"
            f'<input type=hidden name=token value="{escape(token)}"><button>Confirm</button></form>'
        )

    @post("/confirm/form", opt=public("the button on the page"), media_type=MediaType.HTML, status_code=200,
          include_in_schema=False)  # fmt: skip
    async def form(
        self, data: Annotated[AddressConfirmation, FormBody], addresses: Addresses, visitor: CurrentVisitor
    ) -> str:
        if await addresses.confirm(data.token, visitor):
            return f"{PAGE}<h1>Your address is changed</h1><p>From now on you log in with the new one.</p>"
        return f"{PAGE}<h1>Confirmed</h1><p>Now open the link that we sent to your other address.</p>"
