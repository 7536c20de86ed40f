from tenantry.feature import Feature

feature = Feature("service-accounts", controllers=[])
