from features.mfa.controller import MfaController
from features.mfa.service import FactorService, SecondStepService, TotpService
from features.sessions.api import SessionService
from tenantry.feature import Feature

feature = Feature(
    "mfa",
    controllers=[MfaController],
    provides={
        "sessions": SessionService,
        "factors": FactorService,
        "totp": TotpService,
        "second_steps": SecondStepService,
    },
)
