"""From a first factor to the last, and the second step of a log-in."""

import hmac
from datetime import timedelta
from uuid import UUID

import pyotp
import segno
import structlog

from features.accounts.api import credentials_of_user, lock_account, note_second_factor, person
from features.auth.api import ChallengeService
from features.guesses.api import GuessService
from features.mfa.dtos import Change, FactorAdded, Factors, NewFactor, TotpEnrolment
from features.mfa.errors import InvalidCode, NoSecondFactor, SecondFactorProofRequired, TotpEnrolled, TotpNotFound
from features.mfa.models import PURPOSE, new_recovery_codes, plain
from features.mfa.repository import FactorRepository, Totp, TotpRepository
from features.sessions.api import (
    AccessToken,
    Proof,
    SessionService,
    TokenPair,
    end_sessions,
    forget_second_factor,
    second_factor_of,
)
from tenantry.clock import now
from tenantry.config import Settings
from tenantry.db.database import Database
from tenantry.db.session import UnitOfWork
from tenantry.mail import Mailer
from tenantry.security.principal import Principal
from tenantry.security.vault import Vault
from tenantry.visitor import Visitor

_log = structlog.get_logger("features.mfa")
ISSUER = "Tenantry"
DIGITS, STEP_SECONDS, DRIFT_STEPS, SECRET_CHARACTERS = 6, 30, 1, 32
TOTP = "totp"
ONE_TIME_CODE = ("otp",)
AUTHENTICATOR_APP = NewFactor(TOTP, "an authenticator app", ONE_TIME_CODE)


class FactorService:
    """What holds for factors of every kind."""

    def __init__(self, unit_of_work: UnitOfWork, sessions: SessionService, mailer: Mailer, settings: Settings) -> None:
        self.unit_of_work, self.sessions, self.mailer = unit_of_work, sessions, mailer
        self.factors = FactorRepository(unit_of_work)
        self.fresh = timedelta(seconds=settings.fresh_auth_seconds)

    async def overview(self, user_id: UUID) -> Factors:
        since = (await person(self.unit_of_work, user_id)).second_factor_at
        kinds = await self.factors.by_kind(user_id)
        left = await self.factors.codes_left(user_id)
        return Factors(since, totp=TOTP in kinds, passkeys=kinds.get("passkey", 0), recovery_codes_left=left)

    async def require_proof(self, by: Principal) -> None:
        """A password alone, which may be stolen, must not change what stands beside it.

        Raises:
            SecondFactorProofRequired: there is a second factor, and this session has not shown it just now.
        """
        known = await credentials_of_user(self.unit_of_work, by.subject_id)
        if known is not None and known.has_second_factor:
            proven = await second_factor_of(self.unit_of_work, by.session)
            if proven is None or now() - proven > self.fresh:
                raise SecondFactorProofRequired

    async def add(self, change: Change, factor: NewFactor) -> tuple[UUID, FactorAdded]:
        """One that has just been shown; the session counts as proven with it, and its owner is told."""
        by = change.by
        await lock_account(self.unit_of_work, by.subject_id)
        is_first = not await self.factors.by_kind(by.subject_id)
        id = await self.factors.add(by.subject_id, factor.kind)
        await note_second_factor(self.unit_of_work, by.subject_id, has=True)
        await self.sessions.prove_again(by.session, Proof((*factor.methods, "mfa"), has_second_factor=True))
        codes = await self._new_codes(by.subject_id) if is_first else None
        await self._follow(change, "factor_added", factor.name)
        _log.info("factor.added", user=str(by.subject_id), kind=factor.kind)
        return id, FactorAdded(codes)

    async def remove(self, change: Change, id: UUID, name: str) -> bool:
        """With the last one everything goes that stood in for it, and no session is proven by it any more."""
        user_id = change.by.subject_id
        await lock_account(self.unit_of_work, user_id)
        if not await self.factors.remove(user_id, id):
            return False
        if not await self.factors.by_kind(user_id):
            await forget_factors(self.unit_of_work, user_id)
        await self._follow(change, "factor_removed", name)
        _log.info("factor.removed", user=str(user_id))
        return True

    async def renew_codes(self, change: Change) -> list[str]:
        """
        Raises:
            NoSecondFactor, SecondFactorProofRequired
        """
        await self.require_proof(change.by)
        if not await self.factors.by_kind(change.by.subject_id):
            raise NoSecondFactor
        await self._follow(change, "recovery_codes_renewed")
        return await self._new_codes(change.by.subject_id)

    async def _follow(self, change: Change, what: str, name: str = "") -> None:
        """What a change of any kind brings with it."""
        user_id = change.by.subject_id
        if change.ends_others:
            await end_sessions(self.unit_of_work, user_id, what, but=change.by.session)
        await self.mailer.notify(user_id, what, self.unit_of_work, visitor=change.visitor, about=name)

    async def _new_codes(self, user_id: UUID) -> list[str]:
        codes = new_recovery_codes()
        await self.factors.replace_codes(user_id, [plain(code) for code in codes])
        return codes


async def forget_factors(unit_of_work: UnitOfWork, user_id: UUID) -> None:
    """Once none is left, or with all that are left."""
    factors = FactorRepository(unit_of_work)
    await factors.remove_all(user_id)
    await factors.replace_codes(user_id, [])
    await note_second_factor(unit_of_work, user_id, has=False)
    await forget_second_factor(unit_of_work, user_id)


class TotpService:
    """RFC 6238, as every authenticator app takes it: SHA-1, six digits, thirty seconds."""

    def __init__(
        self, unit_of_work: UnitOfWork, database: Database, guesses: GuessService, vault: Vault, factors: FactorService
    ) -> None:
        self.unit_of_work, self.database, self.guesses, self.vault = unit_of_work, database, guesses, vault
        self.factors, self.secrets = factors, TotpRepository(unit_of_work)

    async def enrol(self, by: Principal) -> TotpEnrolment:
        await self.factors.require_proof(by)
        secret = pyotp.random_base32(SECRET_CHARACTERS)
        sealed = self.vault.seal(secret.encode(), purpose=PURPOSE, owner=by.subject_id.bytes)
        if not await self.secrets.enrol(by.subject_id, sealed):
            raise TotpEnrolled
        email = (await person(self.unit_of_work, by.subject_id)).email
        uri = pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=ISSUER)
        return TotpEnrolment(secret, uri, segno.make(uri, error="m", micro=False).svg_inline(scale=5))

    async def confirm(self, change: Change, code: str) -> FactorAdded:
        """
        Raises:
            TotpNotFound: nothing waits to be confirmed.
        """
        by = change.by
        async with self.guesses.at_person(by.subject_id, change.visitor, wrong=InvalidCode):
            async with self.database.transaction() as reading:
                pending = await TotpRepository(reading).pending(by.subject_id)
            if pending is None:
                raise TotpNotFound
            step = self._step_of(code, by.subject_id, pending)
            if step is None:
                raise InvalidCode
        await self.factors.require_proof(by)
        id, added = await self.factors.add(change, AUTHENTICATOR_APP)
        if not await self.secrets.confirm(by.subject_id, pending, id, step):
            raise TotpEnrolled
        return added

    async def remove(self, change: Change) -> None:
        await self.factors.require_proof(change.by)
        found = await self.secrets.confirmed(change.by.subject_id)
        app = found.factor_id if found is not None else None
        if app is None or not await self.factors.remove(change, app, AUTHENTICATOR_APP.name):
            raise TotpNotFound

    async def redeem(self, unit_of_work: UnitOfWork, user_id: UUID, code: str) -> bool:
        """In whatever unit of work, whether or not the request comes to anything."""
        secrets = TotpRepository(unit_of_work)
        found = await secrets.confirmed(user_id)
        step = self._step_of(code, user_id, found) if found is not None else None
        return step is not None and await secrets.redeem(user_id, step)

    def _step_of(self, code: str, user_id: UUID, totp: Totp) -> int | None:
        """The time step whose code it is, of those that a clock which is a little wrong could show."""
        secret = self.vault.open(totp.sealed_secret, purpose=PURPOSE, owner=user_id.bytes)
        generator, current = pyotp.TOTP(secret.decode()), int(now().timestamp()) // STEP_SECONDS
        steps = range(current - DRIFT_STEPS, current + DRIFT_STEPS + 1)
        right = [step for step in steps if hmac.compare_digest(generator.generate_otp(step).encode(), code.encode())]
        return next((step for step in right if step > totp.last_step), None)


class SecondStepService:
    """Judges the code that follows a password, in a transaction of its own: a code is used up whatever follows, and no
    connection is held while guesses are counted on another.
    """

    def __init__(
        self,
        unit_of_work: UnitOfWork,
        database: Database,
        sessions: SessionService,
        guesses: GuessService,
        totp: TotpService,
    ) -> None:
        self.database, self.sessions = database, sessions
        self.guesses, self.totp = guesses, totp
        self.challenges = ChallengeService(unit_of_work, sessions)

    async def verify(self, token: str, code: str, visitor: Visitor) -> TokenPair | AccessToken:
        async with self.database.transaction() as unit_of_work:
            challenge = await ChallengeService(unit_of_work, self.sessions).find(token)
        async with self.guesses.at_person(challenge.user_id, visitor, wrong=InvalidCode, is_second_step=True):
            async with self.database.transaction() as unit_of_work:
                is_right = await self._redeem(unit_of_work, challenge.user_id, plain(code))
            if not is_right:
                _log.warning("second-factor.refused", user=str(challenge.user_id))
                raise InvalidCode
        return await self.challenges.complete(challenge, visitor, ONE_TIME_CODE)

    async def _redeem(self, unit_of_work: UnitOfWork, user_id: UUID, code: str) -> bool:
        if code.isascii() and code.isdecimal() and len(code) == DIGITS:
            return await self.totp.redeem(unit_of_work, user_id, code)
        return await FactorRepository(unit_of_work).redeem_code(user_id, code)
