from features.accounts.controller import AccountController, MeController
from features.accounts.repository import UserRepository
from features.accounts.service import AccountService
from tenantry.feature import Feature

feature = Feature(
    "accounts",
    controllers=[AccountController, MeController],
    provides={"users": UserRepository, "accounts": AccountService},
)
