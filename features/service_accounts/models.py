from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped

from tenantry.db.base import TenantOwned


class ServiceAccountRow(TenantOwned):
    """Its membership says what it may do."""

    __tablename__ = "service_accounts"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    name: Mapped[str]
