from features.auth.controller import AuthController, MeController
from features.auth.repository import UserRepository
from features.auth.service import AccountService, ClientService, SessionService
from tenantry.feature import Feature

feature = Feature(
    "auth",
    controllers=[AuthController, MeController],
    provides={
        "users": UserRepository,
        "accounts": AccountService,
        "sessions": SessionService,
        "clients": ClientService,
    },
)
