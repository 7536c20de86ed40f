from features.signing_keys.controller import SigningKeyController
from tenantry.feature import Feature

feature = Feature("signing_keys", controllers=[SigningKeyController], prefix="/")
