from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from features.mfa.dtos import (
    Change,
    FactorAdded,
    Factors,
    NewRecoveryCodes,
    TotpConfirmation,
    TotpEnrolment,
    Verification,
)
from features.mfa.service import FactorService, SecondStepService, TotpService
from features.sessions.api import AccessToken, TokenPair
from tenantry.http.options import EndsOthers
from tenantry.http.policy import public, signed_in
from tenantry.security.principal import CurrentPrincipal
from tenantry.visitor import CurrentVisitor

FactorsOfMine = NamedDependency[FactorService]
Totp = NamedDependency[TotpService]
SecondSteps = NamedDependency[SecondStepService]


class MfaController(Controller):
    path = "/auth/mfa"

    @get(opt=signed_in(), summary="My second factors")
    async def overview(self, factors: FactorsOfMine, principal: CurrentPrincipal) -> Factors:
        return await factors.overview(principal.subject_id)

    @post("/verify", opt=public("the second step of a log-in"), status_code=200, summary="Show a second factor")
    async def verify(
        self, data: JSONBody[Verification], second_steps: SecondSteps, visitor: CurrentVisitor
    ) -> TokenPair | AccessToken:
        """A code of the authenticator app, or a recovery code; each works once. After `POST /auth/login` the answer is
        that of a log-in, after `POST /auth/reauthenticate` an access token in the same session.
        """
        return await second_steps.verify(data.challenge, data.code, visitor)

    @post("/totp", opt=signed_in(audit="totp.enrolled", fresh_auth=True), summary="Enrol an authenticator app")
    async def enrol(self, totp: Totp, principal: CurrentPrincipal) -> TotpEnrolment:
        """Show the picture to the app, then confirm with its first code within an hour."""
        return await totp.enrol(principal)

    @post("/totp/confirm", opt=signed_in(audit="factor.added", fresh_auth=True), status_code=200,
          summary="Confirm the authenticator app")  # fmt: skip
    async def confirm(
        self,
        data: JSONBody[TotpConfirmation],
        totp: Totp,
        principal: CurrentPrincipal,
        visitor: CurrentVisitor,
        ends_others: EndsOthers = False,
    ) -> FactorAdded:
        """From now on a log-in takes a second step. This session counts as having taken it."""
        return await totp.confirm(Change(principal, visitor, ends_others), data.code)

    @delete("/totp", opt=signed_in(audit="factor.removed", fresh_auth=True), summary="Remove the authenticator app")
    async def remove(
        self, totp: Totp, principal: CurrentPrincipal, visitor: CurrentVisitor, ends_others: EndsOthers = False
    ) -> None:
        """Prove again who you are before, with a second factor. With the last factor the recovery codes go."""
        await totp.remove(Change(principal, visitor, ends_others))

    @post("/recovery-codes", opt=signed_in(audit="recovery_codes.renewed", fresh_auth=True), status_code=200,
          summary="Replace my recovery codes")  # fmt: skip
    async def renew_codes(
        self,
        factors: FactorsOfMine,
        principal: CurrentPrincipal,
        visitor: CurrentVisitor,
        ends_others: EndsOthers = False,
    ) -> NewRecoveryCodes:
        """Only this answer has the new ones; those of before are good for nothing."""
        return NewRecoveryCodes(await factors.renew_codes(Change(principal, visitor, ends_others)))
