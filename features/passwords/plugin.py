from features.guesses.api import GuessService
from features.passwords.controller import PasswordController
from features.passwords.service import PasswordChangeService, PasswordResetService
from tenantry.feature import Feature

feature = Feature(
    "passwords",
    controllers=[PasswordController],
    provides={
        "guesses": GuessService,
        "password_change": PasswordChangeService,
        "password_reset": PasswordResetService,
    },
)
