from tenantry.errors import Conflict, NotFound


class ProjectNotFound(NotFound):
    code = "project_not_found"
    title = "There is no such project"


class ProjectArchived(Conflict):
    code = "project_archived"
    title = "The project is archived; restore it first"


class ProjectNameTaken(Conflict):
    code = "project_name_taken"
    title = "Another project has this name"
    constraint = "uq_projects_tenant_id_name"
