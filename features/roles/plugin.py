from tenantry.feature import Feature

feature = Feature("roles", controllers=[])
