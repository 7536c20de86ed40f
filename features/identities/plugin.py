from features.identities.controller import IdentityController
from features.identities.repository import IdentityRepository
from features.sessions.api import SessionService
from tenantry.feature import Feature

feature = Feature(
    "identities",
    controllers=[IdentityController],
    provides={"identities": IdentityRepository, "sessions": SessionService},
)
