from features.guesses.api import GuessService
from features.mfa.controller import MfaController
from features.mfa.service import FactorService, SecondStepService, TotpService
from features.sessions.api import SessionService
from tenantry.feature import Feature

feature = Feature(
    "mfa",
    controllers=[MfaController],
    provides={
        "sessions": SessionService,
        "guesses": GuessService,
        "factors": FactorService,
        "totp": TotpService,
        "second_steps": SecondStepService,
    },
)
