"""One session with the service through the generated client: `.clients/python` has it, `just clients` runs this.

Each step is typed: what the client is generated from says which answers there are.
"""

import os
from typing import Any, TypeVar
from uuid import uuid4

from tenantry_client import AuthenticatedClient, Client
from tenantry_client.api.auth import auth_log_in
from tenantry_client.api.projects import (
    projects_change,
    projects_create,
    projects_create_many,
    projects_get,
    projects_list,
)
from tenantry_client.api.sessions import auth_log_out
from tenantry_client.models import (
    FieldError,
    Login,
    Problem,
    Project,
    ProjectBulk,
    ProjectCreate,
    ProjectCreateBulk,
    ProjectPage,
    ProjectPatch,
    TokenPair,
)
from tenantry_client.types import UNSET, Response

URL = os.environ["SMOKE_URL"]
Kind = TypeVar("Kind")


def expected(kind: type[Kind], answer: Response[Any], status: int) -> Kind:
    assert (status, True) == (answer.status_code, isinstance(answer.parsed, kind)), answer
    assert isinstance(answer.parsed, kind)
    return answer.parsed


def logged_in() -> AuthenticatedClient:
    body = Login(email=os.environ["SMOKE_EMAIL"], password=os.environ["SMOKE_PASSWORD"])
    with Client(URL, httpx_args={"trust_env": False}) as visitor:
        tokens = expected(TokenPair, auth_log_in.sync_detailed(client=visitor, body=body), 200)
    assert isinstance(tokens.access_token, str)
    return AuthenticatedClient(URL, tokens.access_token, httpx_args={"trust_env": False})


def create(client: AuthenticatedClient) -> Project:
    """The key makes it one project, however often it is sent."""
    key, body = str(uuid4()), ProjectCreate(name="Apollo")
    answers = [projects_create.sync_detailed(client=client, body=body, idempotency_key=key) for _ in range(2)]
    first, second = (expected(Project, answer, 201) for answer in answers)
    assert (first, "true") == (second, answers[1].headers["Idempotency-Replayed"])
    many = ProjectCreateBulk([ProjectCreate(name=f"Apollo {number}") for number in range(11, 18)])
    made = expected(ProjectBulk, projects_create_many.sync_detailed(client=client, body=many), 201)
    assert [item.name for item in many.items] == [item.name for item in made.items]
    return first


def list_pages(client: AuthenticatedClient) -> None:
    found: list[Project] = []
    page = ProjectPage(items=[], next_cursor="")
    while page.next_cursor is not None:
        answer = projects_list.sync_detailed(
            client=client, limit=3, sort="name", namecontains="apollo 1", include_total=True,
            cursor=page.next_cursor or UNSET,
        )  # fmt: skip
        page = expected(ProjectPage, answer, 200)
        found += page.items
    assert [f"Apollo {number}" for number in range(11, 18)] == [item.name for item in found]
    assert len(found) == page.total
    chosen = projects_list.sync_detailed(client=client, idin=[item.id for item in found[:2]], sort="name")
    assert found[:2] == expected(ProjectPage, chosen, 200).items


def change(client: AuthenticatedClient, project: Project) -> None:
    """What was read is read again only if it changed, and changed only if it is still as it was read."""
    read = projects_get.sync_detailed(project.id, client=client)
    assert project == expected(Project, read, 200)
    version = read.headers["ETag"]
    again = projects_get.sync_detailed(project.id, client=client, if_none_match=version)
    assert (304, None) == (again.status_code, again.parsed)
    gemini, mercury = ProjectPatch(name="Gemini"), ProjectPatch(name="Mercury")
    changed = projects_change.sync_detailed(project.id, client=client, body=gemini, if_match=version)
    assert "Gemini" == expected(Project, changed, 200).name
    late = projects_change.sync_detailed(project.id, client=client, body=mercury, if_match=version)
    assert "precondition_failed" == expected(Problem, late, 412).code


def fail(client: AuthenticatedClient) -> None:
    missing = expected(Problem, projects_get.sync_detailed(uuid4(), client=client), 404)
    assert "project_not_found" == missing.code
    invalid = expected(Problem, projects_create.sync_detailed(client=client, body=ProjectCreate(name="")), 422)
    assert isinstance(invalid.errors, list)
    errors: list[FieldError] = invalid.errors
    assert ["/name"] == [error.pointer for error in errors]


def main() -> None:
    with logged_in() as client:
        project = create(client)
        list_pages(client)
        change(client, project)
        fail(client)
        assert 204 == auth_log_out.sync_detailed(client=client).status_code
        assert "session_ended" == expected(Problem, projects_get.sync_detailed(project.id, client=client), 401).code


main()
