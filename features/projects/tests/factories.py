from collections.abc import Callable
from typing import Any

from polyfactory import Ignore
from polyfactory.factories.sqlalchemy_factory import SQLAlchemyFactory
from sqlalchemy.dialects.postgresql import TSVECTOR

from features.projects.models import ProjectRow
from tenantry.clock import now
from tenantry.ids import new_id


class ProjectFactory(SQLAlchemyFactory[ProjectRow]):
    __model__ = ProjectRow
    __set_relationships__ = False
    __set_foreign_keys__ = False

    search = Ignore()
    id = new_id
    created_at = now
    updated_at = now
    archived_at = None
    description = ""

    @classmethod
    def get_sqlalchemy_types(cls) -> dict[Any, Callable[[], Any]]:
        """The factory asks for each type, also for that of a column which it leaves out."""
        return super().get_sqlalchemy_types() | {TSVECTOR: str}
