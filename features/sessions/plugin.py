from features.sessions.controller import SessionController
from features.sessions.service import SessionService
from tenantry.feature import Feature

feature = Feature("sessions", controllers=[SessionController], provides={"sessions": SessionService})
