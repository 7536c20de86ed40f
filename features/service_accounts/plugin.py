from features.service_accounts.controller import ServiceAccountController
from features.service_accounts.service import ServiceAccountService
from tenantry.feature import Feature

feature = Feature(
    "service-accounts",
    controllers=[ServiceAccountController],
    provides={"service_accounts": ServiceAccountService},
)
