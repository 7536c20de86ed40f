from features.identities.api import ArrivalService
from features.sessions.api import SessionService
from features.sso.controller import LinkController, ReauthenticationController, SsoController
from features.sso.service import FlowService
from tenantry.feature import Feature

feature = Feature(
    "sso",
    controllers=[SsoController, LinkController, ReauthenticationController],
    provides={"sessions": SessionService, "flows": FlowService, "arrivals": ArrivalService},
)
