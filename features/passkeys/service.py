"""WebAuthn: what an authenticator is asked to sign, and what its signature is good for."""

import secrets
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import (
    options_to_json_dict,
    parse_authentication_credential_json,
    parse_client_data_json,
    parse_registration_credential_json,
)
from webauthn.helpers.structs import (
    AuthenticationCredential,
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    RegistrationCredential,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from features.accounts.api import credentials_of_user, person
from features.auth.api import Challenge, ChallengeService
from features.guesses.api import GuessService
from features.mfa.api import Change, FactorService, NewFactor
from features.passkeys.dtos import Ceremony, KnownPasskey, PasskeyCreate, PasskeyCreated, PasskeyLogin, told
from features.passkeys.errors import (
    NoPasskey,
    PasskeyNotFound,
    PasskeyRefused,
    PasskeyUnacceptable,
    TooManyPasskeys,
    refusing,
)
from features.passkeys.models import PasskeyRow
from features.passkeys.repository import LIFETIME, CeremonyRepository, PasskeyRepository
from features.sessions.api import AccessToken, Proof, SessionService, TokenPair
from tenantry.config import Settings
from tenantry.db.database import Database
from tenantry.db.session import UnitOfWork
from tenantry.errors import AppError
from tenantry.security.principal import Principal
from tenantry.visitor import Visitor

C = TypeVar("C", AuthenticationCredential, RegistrationCredential)
_log = structlog.get_logger("features.passkeys")
NAME = "Tenantry"
KIND = "passkey"
MOST = 20
REGISTRATION, LOGIN, SECOND_STEP = "registration", "login", "second step"
MILLISECONDS = int(LIFETIME.total_seconds() * 1000)
HARDWARE_KEY = ("hwk",)
PASSWORDLESS = Proof((*HARDWARE_KEY, "mfa"), has_second_factor=True)


class RelyingParty:
    """Who asks, to an authenticator: it signs for this host only, so that no other site can pass a signature on."""

    def __init__(self, settings: Settings) -> None:
        address = urlsplit(settings.base_url)
        self.id = address.hostname or ""
        self.origin = f"{address.scheme}://{address.netloc}"


class PasskeyService:
    """From a new passkey to its end."""

    def __init__(
        self, unit_of_work: UnitOfWork, database: Database, factors: FactorService, settings: Settings
    ) -> None:
        self.database, self.factors, self.party = database, factors, RelyingParty(settings)
        self.unit_of_work = unit_of_work
        self.passkeys = PasskeyRepository(unit_of_work)

    async def begin(self, by: Principal) -> Ceremony:
        await self.factors.require_proof(by)
        there = await self.passkeys.descriptors(by.subject_id)
        if len(there) >= MOST:
            raise TooManyPasskeys
        challenge = secrets.token_bytes(32)
        await CeremonyRepository(self.unit_of_work).begin(challenge, REGISTRATION, by.subject_id)
        options = generate_registration_options(
            rp_id=self.party.id,
            rp_name=NAME,
            user_id=by.subject_id.bytes,
            user_name=(await person(self.unit_of_work, by.subject_id)).email,
            challenge=challenge,
            timeout=MILLISECONDS,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.PREFERRED
            ),
            exclude_credentials=[each.for_browser() for each in there],
        )
        return Ceremony(options_to_json_dict(options))

    async def register(self, change: Change, data: PasskeyCreate) -> PasskeyCreated:
        by = change.by
        await self.factors.require_proof(by)
        credential, challenge = read(parse_registration_credential_json, data.credential, PasskeyUnacceptable)
        if not await redeem(self.database, challenge, REGISTRATION, by.subject_id):
            raise PasskeyUnacceptable
        with refusing(PasskeyUnacceptable):
            verified = verify_registration_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=self.party.id,
                expected_origin=self.party.origin,
            )
        id, added = await self.factors.add(change, NewFactor(KIND, told(data.name), HARDWARE_KEY))
        transports = [each.value for each in credential.response.transports or ()]
        await self.passkeys.add(PasskeyRow.registered(id, by.subject_id, data.name, verified, transports))
        return PasskeyCreated(id, data.name, added.recovery_codes)

    async def remove(self, change: Change, id: UUID) -> None:
        await self.factors.require_proof(change.by)
        names = {passkey.id: passkey.name for passkey in await self.passkeys.of(change.by.subject_id)}
        if id not in names or not await self.factors.remove(change, id, told(names[id])):
            raise PasskeyNotFound


class PasskeyLoginService:
    """Lets people in by their passkeys: with nothing else, or after a password."""

    def __init__(
        self,
        unit_of_work: UnitOfWork,
        database: Database,
        sessions: SessionService,
        guesses: GuessService,
        settings: Settings,
    ) -> None:
        self.unit_of_work, self.database, self.sessions = unit_of_work, database, sessions
        self.guesses = guesses
        self.party = RelyingParty(settings)
        self.passkeys = PasskeyRepository(unit_of_work)
        self.challenges = ChallengeService(unit_of_work, sessions)

    async def begin(self) -> Ceremony:
        """Without the names of any: the authenticator looks which it has for this host."""
        return await self._begin(LOGIN, None, [], UserVerificationRequirement.REQUIRED)

    async def log_in(self, data: PasskeyLogin, visitor: Visitor) -> TokenPair:
        """The authenticator has asked for a PIN or a finger: possession and that are two factors."""
        async with self.guesses.at_anybody(visitor):
            passkey = await self._judge(data.credential, LOGIN, None)
        return await self.sessions.open(passkey.user_id, visitor, PASSWORDLESS, data.tenant_id)

    async def begin_step(self, token: str) -> Ceremony:
        challenge = await self.challenges.find(token)
        there = await self.passkeys.descriptors(challenge.user_id)
        if not there:
            raise NoPasskey
        return await self._begin(
            SECOND_STEP,
            challenge.user_id,
            [each.for_browser() for each in there],
            UserVerificationRequirement.DISCOURAGED,
        )

    async def step(self, token: str, credential: dict[str, Any], visitor: Visitor) -> TokenPair | AccessToken:
        challenge = await self._find(token)
        async with self.guesses.at_person(challenge.user_id, visitor, wrong=PasskeyRefused, is_second_step=True):
            await self._judge(credential, SECOND_STEP, challenge.user_id)
        return await self.challenges.complete(challenge, visitor, HARDWARE_KEY)

    async def _find(self, token: str) -> Challenge:
        async with self.database.transaction() as unit_of_work:
            return await ChallengeService(unit_of_work, self.sessions).find(token)

    async def _begin(
        self,
        purpose: str,
        user_id: UUID | None,
        allowed: list[PublicKeyCredentialDescriptor],
        verification: UserVerificationRequirement,
    ) -> Ceremony:
        challenge = secrets.token_bytes(32)
        await CeremonyRepository(self.unit_of_work).begin(challenge, purpose, user_id)
        options = generate_authentication_options(
            rp_id=self.party.id,
            challenge=challenge,
            timeout=MILLISECONDS,
            allow_credentials=allowed,
            user_verification=verification,
        )
        return Ceremony(options_to_json_dict(options))

    async def _judge(self, given: dict[str, Any], purpose: str, user_id: UUID | None) -> KnownPasskey:
        """
        Raises:
            PasskeyRefused
        """
        credential, challenge = read(parse_authentication_credential_json, given, PasskeyRefused)
        is_open = await redeem(self.database, challenge, purpose, user_id)
        passkey = await self._claimed(credential, user_id)
        if not is_open or passkey is None:
            _log.warning("passkey.refused", purpose=purpose, is_open=is_open)
            raise PasskeyRefused
        with refusing(PasskeyRefused):
            verified = verify_authentication_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=self.party.id,
                expected_origin=self.party.origin,
                credential_public_key=passkey.public_key,
                credential_current_sign_count=0,  # judged below, in the statement that stores it
                require_user_verification=purpose == LOGIN,
            )
        async with self.database.transaction() as unit_of_work:
            is_next = await PasskeyRepository(unit_of_work).count(passkey.id, verified.new_sign_count)
        if not is_next:
            _log.error("passkey.copied", user=str(passkey.user_id), passkey=str(passkey.id))
            raise PasskeyRefused
        return passkey

    async def _claimed(self, credential: AuthenticationCredential, user_id: UUID | None) -> KnownPasskey | None:
        """The one that it says it is, of the account that is asked for; its signature is still to be checked."""
        async with self.database.transaction() as unit_of_work:
            passkey = await PasskeyRepository(unit_of_work).known(credential.raw_id)
            if passkey is None:
                return None
            known = await credentials_of_user(unit_of_work, passkey.user_id)
        is_usable = known is not None and not known.disabled
        is_whose = user_id in (None, passkey.user_id)
        is_named = credential.response.user_handle in (None, passkey.user_id.bytes)
        return passkey if is_usable and is_whose and is_named else None


async def redeem(database: Database, challenge: bytes, purpose: str, user_id: UUID | None) -> bool:
    """In a transaction of its own: it is over although the answer may be an error."""
    async with database.transaction() as unit_of_work:
        return await CeremonyRepository(unit_of_work).redeem(challenge, purpose, user_id)


def read(parse: Callable[[Any], C], given: dict[str, Any], otherwise: type[AppError]) -> tuple[C, bytes]:
    """A credential, and the challenge that it says it answers."""
    with refusing(otherwise):
        credential = parse(given)
        return credential, parse_client_data_json(credential.response.client_data_json).challenge
