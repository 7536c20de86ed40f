from features.tenants.controller import TenantController
from features.tenants.repository import MyTenantRepository, TenantRepository
from features.tenants.service import TenantService
from tenantry.feature import Feature

feature = Feature(
    "tenants",
    controllers=[TenantController],
    provides={
        "tenants": TenantRepository,
        "my_tenants": MyTenantRepository,
        "tenancy": TenantService,
    },
)
