from tenantry.feature import Feature

feature = Feature("guesses", controllers=[])
