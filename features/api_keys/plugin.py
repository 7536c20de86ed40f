from features.api_keys.controller import ApiKeyController
from features.api_keys.service import ApiKeyService
from tenantry.feature import Feature

feature = Feature("api-keys", controllers=[ApiKeyController], provides={"api_keys": ApiKeyService})
