from features.health.controller import HealthController
from tenantry.feature import Feature

feature = Feature("health", controllers=[HealthController], prefix="/")
