from features.accounts.controller import AccountController
from features.accounts.service import AccountService
from tenantry.feature import Feature

feature = Feature(
    "accounts",
    controllers=[AccountController],
    provides={"accounts": AccountService},
)
