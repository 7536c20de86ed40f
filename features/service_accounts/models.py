from typing import ClassVar

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped

from tenantry.db.base import TenantOwned
from tenantry.plans import Quota


class ServiceAccountRow(TenantOwned):
    """Its membership says what it may do."""

    __tablename__ = "service_accounts"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)
    quota: ClassVar = Quota("service_accounts", free=2, team=50)

    name: Mapped[str]
