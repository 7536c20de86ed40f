from features.projects.dtos import Project
from features.projects.errors import ProjectNotFound
from features.projects.models import ProjectRow
from tenantry.db.listing import ANY_OF, SPAN, TEXT, Listing, flag, words
from tenantry.db.repository import Repository


class ProjectRepository(Repository[ProjectRow, Project]):
    not_found = ProjectNotFound
    listing = Listing(
        sort=("created_at", "updated_at", "name"),
        filters={
            "id": ANY_OF, "name": TEXT, "created_at": SPAN, "updated_at": SPAN, "archived_at": SPAN,
            "archived": flag(ProjectRow.archived_at.is_not(None), "Only archived, or only active ones"),
        },
        search=words(ProjectRow.search),
    )  # fmt: skip
