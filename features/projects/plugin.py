from features.projects.controller import ProjectController
from features.projects.repository import ProjectRepository
from tenantry.feature import Feature

feature = Feature("projects", controllers=[ProjectController], provides={"projects": ProjectRepository})
