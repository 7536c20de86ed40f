from features.sso_connections.controller import ConnectionController
from features.sso_connections.service import ConnectionService
from tenantry.feature import Feature

feature = Feature("sso-connections", controllers=[ConnectionController], provides={"connections": ConnectionService})
