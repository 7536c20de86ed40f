from tenantry.feature import Feature

from features.health.controller import HealthController

feature = Feature("health", controllers=[HealthController], prefix="/")
