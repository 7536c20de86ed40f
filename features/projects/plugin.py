from tenantry.feature import Feature

from features.projects.controller import ProjectController
from features.projects.repository import ProjectRepository

feature = Feature("projects", controllers=[ProjectController], provides={"projects": ProjectRepository})
