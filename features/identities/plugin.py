from features.identities.controller import IdentityController
from features.identities.repository import IdentityRepository
from tenantry.feature import Feature

feature = Feature("identities", controllers=[IdentityController], provides={"identities": IdentityRepository})
