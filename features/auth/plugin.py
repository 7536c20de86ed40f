from features.auth.controller import AuthController
from features.auth.service import ClientService, LoginService
from features.guesses.api import GuessService
from features.sessions.api import SessionService
from tenantry.feature import Feature

feature = Feature(
    "auth",
    controllers=[AuthController],
    provides={"logins": LoginService, "sessions": SessionService, "clients": ClientService, "guesses": GuessService},
)
