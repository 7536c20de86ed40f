from tenantry.feature import Feature

feature = Feature("api-keys", controllers=[])
