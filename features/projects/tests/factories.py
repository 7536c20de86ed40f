from polyfactory.factories.sqlalchemy_factory import SQLAlchemyFactory

from features.projects.models import ProjectRow
from tenantry.clock import now
from tenantry.ids import new_id


class ProjectFactory(SQLAlchemyFactory[ProjectRow]):
    __model__ = ProjectRow
    __set_relationships__ = False
    __set_foreign_keys__ = False

    id = new_id
    created_at = now
    updated_at = now
    archived_at = None
    description = ""
