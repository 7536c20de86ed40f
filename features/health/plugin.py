from features.health.controller import HealthController, MetricsController
from tenantry.feature import Feature

feature = Feature("health", controllers=[HealthController, MetricsController], prefix="/")
