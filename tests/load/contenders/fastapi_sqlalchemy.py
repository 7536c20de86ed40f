"""FastAPI, SQLAlchemy async, pydantic and PyJWT, as the documentation of each shows it and its users write it.

A session per request, the user loaded for each, ORM objects behind `response_model`, a commit in the endpoint,
HS256, and the password verified in the endpoint itself.
"""

import base64
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query
from fastapi.security import OAuth2PasswordBearer
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from sqlalchemy import DateTime, ForeignKey, Text, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from uuid_utils.compat import uuid7

SECRET = os.environ["BENCHMARK_SECRET"]
TOKEN_LIFETIME = timedelta(minutes=10)

# SQLAlchemy's own 5 + 10 would open and close connections all the time with 16 clients.
engine = create_async_engine(os.environ["BENCHMARK_DATABASE_URL"], pool_size=20, max_overflow=10)
SessionLocal = async_sessionmaker(engine, expire_on_commit=False)
password_hasher = PasswordHasher()
oauth2_scheme = OAuth2PasswordBearer(tokenUrl="/api/v1/auth/login")


def now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    type_annotation_map = {datetime: DateTime(timezone=True), str: Text()}  # noqa: RUF012 -- as SQLAlchemy shows it


class User(Base):
    __tablename__ = "users"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    email: Mapped[str]
    name: Mapped[str]
    password_hash: Mapped[str]
    disabled_at: Mapped[datetime | None]


class Membership(Base):
    __tablename__ = "memberships"

    tenant_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    role: Mapped[str]


class Project(Base):
    __tablename__ = "projects"

    tenant_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    name: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    archived_at: Mapped[datetime | None] = mapped_column(default=None)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)


class ProjectCreate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    description: str = Field(default="", max_length=10_000)


class ProjectPatch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(default=None, min_length=1, max_length=200)
    description: str | None = Field(default=None, max_length=10_000)


class ProjectPublic(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    name: str
    description: str
    archived_at: datetime | None
    created_at: datetime
    updated_at: datetime


class ProjectsPublic(BaseModel):
    items: list[ProjectPublic]
    next_cursor: str | None


class Credentials(BaseModel):
    email: str
    password: str


class Token(BaseModel):
    access_token: str
    token_type: str = "bearer"


async def get_db() -> AsyncIterator[AsyncSession]:
    async with SessionLocal() as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_db)]


async def get_current_membership(session: Session, token: Annotated[str, Depends(oauth2_scheme)]) -> Membership:
    try:
        claims = jwt.decode(token, SECRET, algorithms=["HS256"])
    except jwt.InvalidTokenError as error:
        raise HTTPException(401, "Could not validate credentials") from error
    user = await session.get(User, uuid.UUID(claims["sub"]))
    if user is None or user.disabled_at is not None:
        raise HTTPException(401, "Could not validate credentials")
    membership = await session.scalar(
        select(Membership).where(Membership.user_id == user.id, Membership.tenant_id == uuid.UUID(claims["tid"]))
    )
    if membership is None:
        raise HTTPException(403, "Not a member")
    return membership


CurrentMembership = Annotated[Membership, Depends(get_current_membership)]
CursorPosition = TypeAdapter(tuple[datetime, uuid.UUID])
router = APIRouter(prefix="/api/v1")


@router.get("/projects", response_model=ProjectsPublic)
async def read_projects(
    session: Session,
    membership: CurrentMembership,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: str | None = None,
) -> ProjectsPublic:
    statement = select(Project).where(Project.tenant_id == membership.tenant_id)
    if cursor:
        position = CursorPosition.validate_json(base64.urlsafe_b64decode(cursor))
        statement = statement.where(tuple_(Project.created_at, Project.id) < tuple_(*position))
    ordered = statement.order_by(Project.created_at.desc(), Project.id.desc()).limit(limit + 1)
    projects = (await session.scalars(ordered)).all()
    page, next_cursor = projects[:limit], None
    if len(projects) > limit:
        next_cursor = base64.urlsafe_b64encode(CursorPosition.dump_json((page[-1].created_at, page[-1].id))).decode()
    return ProjectsPublic(items=[ProjectPublic.model_validate(p) for p in page], next_cursor=next_cursor)


async def get_project(session: Session, membership: CurrentMembership, project_id: uuid.UUID) -> Project:
    project = await session.get(Project, (membership.tenant_id, project_id))
    if project is None:
        raise HTTPException(404, "Project not found")
    return project


CurrentProject = Annotated[Project, Depends(get_project)]


@router.get("/projects/{project_id}", response_model=ProjectPublic)
async def read_project(project: CurrentProject) -> Project:
    return project


@router.post("/projects", response_model=ProjectPublic, status_code=201)
async def create_project(session: Session, membership: CurrentMembership, data: ProjectCreate) -> Project:
    project = Project(tenant_id=membership.tenant_id, **data.model_dump())
    session.add(project)
    await session.commit()
    await session.refresh(project)
    return project


@router.patch("/projects/{project_id}", response_model=ProjectPublic)
async def update_project(session: Session, project: CurrentProject, data: ProjectPatch) -> Project:
    if project.archived_at is not None:
        raise HTTPException(409, "The project is archived")
    for field, value in data.model_dump(exclude_unset=True).items():
        setattr(project, field, value)
    await session.commit()
    await session.refresh(project)
    return project


@router.post("/auth/login")
async def login(session: Session, data: Credentials) -> Token:
    user = await session.scalar(select(User).where(User.email == data.email))
    try:
        if user is None or not password_hasher.verify(user.password_hash, data.password):
            raise HTTPException(401, "Incorrect email or password")
    except VerificationError as error:
        raise HTTPException(401, "Incorrect email or password") from error
    claims = {"sub": str(user.id), "exp": now() + TOKEN_LIFETIME}
    return Token(access_token=jwt.encode(claims, SECRET, "HS256"))


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)
app.include_router(router)


@app.get("/health/live")
async def live() -> dict[str, str]:
    return {"status": "ok"}
