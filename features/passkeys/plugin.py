from features.guesses.api import GuessService
from features.mfa.api import FactorService
from features.passkeys.controller import PasskeyController, PasskeyLoginController
from features.passkeys.repository import PasskeyRepository
from features.passkeys.service import PasskeyLoginService, PasskeyService
from features.sessions.api import SessionService
from tenantry.feature import Feature

feature = Feature(
    "passkeys",
    controllers=[PasskeyController, PasskeyLoginController],
    provides={
        "sessions": SessionService,
        "guesses": GuessService,
        "factors": FactorService,
        "passkeys": PasskeyRepository,
        "registrations": PasskeyService,
        "passkey_logins": PasskeyLoginService,
    },
)
