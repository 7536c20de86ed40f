from uuid import UUID

from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from features.mfa.api import Change
from features.passkeys.dtos import (
    Ceremony,
    Passkey,
    PasskeyCreate,
    PasskeyCreated,
    PasskeyLogin,
    PasskeyPatch,
    Passkeys,
    SecondStep,
    SecondStepProof,
)
from features.passkeys.repository import PasskeyRepository
from features.passkeys.service import PasskeyLoginService, PasskeyService
from features.sessions.api import AccessToken, TokenPair
from tenantry.http.options import EndsOthers
from tenantry.http.policy import public, signed_in
from tenantry.security.principal import CurrentPrincipal
from tenantry.visitor import CurrentVisitor

OfMine = NamedDependency[PasskeyRepository]
Registrations = NamedDependency[PasskeyService]
PasskeyLogins = NamedDependency[PasskeyLoginService]


class PasskeyController(Controller):
    path = "/auth/passkeys"

    @get(opt=signed_in(), summary="List my passkeys")
    async def list(self, passkeys: OfMine, principal: CurrentPrincipal) -> Passkeys:
        return Passkeys(await passkeys.of(principal.subject_id))

    @post("/options", opt=signed_in(fresh_auth=True), status_code=200, summary="Begin a new passkey")
    async def begin(self, registrations: Registrations, principal: CurrentPrincipal) -> Ceremony:
        """What the browser's `navigator.credentials.create` takes; good for five minutes, once."""
        return await registrations.begin(principal)

    @post(opt=signed_in(audit="factor.added", fresh_auth=True), summary="Keep a new passkey")
    async def register(
        self,
        data: JSONBody[PasskeyCreate],
        registrations: Registrations,
        principal: CurrentPrincipal,
        visitor: CurrentVisitor,
        ends_others: EndsOthers = False,
    ) -> PasskeyCreated:
        """From now on a log-in by password takes a second step. This session counts as having taken it."""
        return await registrations.register(Change(principal, visitor, ends_others), data)

    @patch("/{passkey_id:uuid}", opt=signed_in(audit="passkey.renamed"), summary="Rename a passkey")
    async def rename(
        self, passkey_id: FromPath[UUID], data: JSONBody[PasskeyPatch], passkeys: OfMine, principal: CurrentPrincipal
    ) -> Passkey:
        return await passkeys.rename(principal.subject_id, passkey_id, data.name)

    @delete("/{passkey_id:uuid}", opt=signed_in(audit="factor.removed", fresh_auth=True), summary="Remove a passkey")
    async def remove(
        self,
        passkey_id: FromPath[UUID],
        registrations: Registrations,
        principal: CurrentPrincipal,
        visitor: CurrentVisitor,
        ends_others: EndsOthers = False,
    ) -> None:
        """Prove again who you are before, with a second factor. With the last factor the recovery codes go."""
        await registrations.remove(Change(principal, visitor, ends_others), passkey_id)


class PasskeyLoginController(Controller):
    path = "/auth"

    @post("/passkeys/login/options", opt=public("how a session begins"), status_code=200,
          summary="Begin a log-in by passkey")  # fmt: skip
    async def begin_passkey_login(self, passkey_logins: PasskeyLogins) -> Ceremony:
        """What the browser's `navigator.credentials.get` takes; good for five minutes, once."""
        return await passkey_logins.begin()

    @post("/passkeys/login/verify", opt=public("how a session begins"), status_code=200, summary="Log in by passkey")
    async def log_in_by_passkey(
        self, data: JSONBody[PasskeyLogin], passkey_logins: PasskeyLogins, visitor: CurrentVisitor
    ) -> TokenPair:
        """Without a password, if the authenticator has verified its owner: that counts as two factors."""
        return await passkey_logins.log_in(data, visitor)

    @post("/mfa/passkey/options", opt=public("the second step of a log-in"), status_code=200,
          summary="Begin a second step by passkey")  # fmt: skip
    async def begin_passkey_step(self, data: JSONBody[SecondStep], passkey_logins: PasskeyLogins) -> Ceremony:
        return await passkey_logins.begin_step(data.challenge)

    @post("/mfa/passkey/verify", opt=public("the second step of a log-in"), status_code=200,
          summary="Show a passkey as second factor")  # fmt: skip
    async def show_passkey(
        self, data: JSONBody[SecondStepProof], passkey_logins: PasskeyLogins, visitor: CurrentVisitor
    ) -> TokenPair | AccessToken:
        """Answers as `POST /auth/mfa/verify`."""
        return await passkey_logins.step(data.challenge, data.credential, visitor)
