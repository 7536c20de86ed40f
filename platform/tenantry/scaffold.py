"""A new slice with five working routes, as `just feature NAME` makes it."""

import re
import sys
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from string import Template

import rich_click as click
from litestar.constants import RESERVED_KWARGS
from sqlalchemy.dialects.postgresql.base import RESERVED_WORDS

from tenantry.db.base import Base
from tenantry.feature import slice_modules
from tenantry.scaffold_templates import TEMPLATES

__all__ = ("UnsuitableName", "scaffold")

LONGEST = 30  # PostgreSQL cuts the names of indexes at 63
DRAWERS = {"common", "helpers", "managers", "utils"}
TAKEN = {"features", "migrations", "page", "settings", "tenantry", "tests"}
# What the templates import: a singular like one of these would hide it.
IMPORTED = {
    *("acme", "api", "conflict", "controller", "delete", "feature", "get", "globex", "index", "list", "mapped", "meta"),
    *("not_found", "page", "page_request", "patch", "permission", "post", "problem", "repository", "role", "struct"),
}


class UnsuitableName(click.ClickException):
    """No slice can have this name. The message says why and what to do."""


def scaffold(name: str, singular: str | None = None, package: str = "features") -> list[Path]:
    """Write the slice `name` and return its files; whatever is there already is never touched."""
    _require_free(name, package)
    singular = singular or singular_of(name)
    _require_identifier(singular)
    if singular in IMPORTED:
        raise UnsuitableName(f"{name}: one of them would be called like something that every slice imports")
    if singular == name:
        raise UnsuitableName(f"{name}: one and many need different names")
    names = _names(name, singular)
    folder = _folder(package) / name
    try:
        folder.mkdir()
    except FileExistsError as error:
        raise UnsuitableName(f"{name}: {folder} exists already") from error
    written = []
    for path, template in TEMPLATES.items():
        file = folder / Template(path).substitute(names)
        file.parent.mkdir(exist_ok=True)
        file.write_text(Template(template).substitute(names), encoding="utf-8")
        written.append(file)
    return written


def singular_of(plural: str) -> str:
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("s", "")):
        if plural.endswith(ending) and not plural.endswith(("ss", "us", "is")):
            return plural.removesuffix(ending) + instead
    raise UnsuitableName(f"{plural}: a slice is named in the plural, as `projects`; else give --singular too")


def _require_free(name: str, package: str) -> None:
    _require_identifier(name)
    if name.rpartition("_")[2] in DRAWERS:
        raise UnsuitableName(f"{name}: does not say what the slice is for")
    if name in sys.stdlib_module_names | RESERVED_KWARGS | TAKEN | RESERVED_WORDS:
        raise UnsuitableName(f"{name}: means something else to Python, Litestar, PostgreSQL or Tenantry")
    slice_modules(package, "models")
    if name in Base.metadata.tables:
        raise UnsuitableName(f"{name}: there is a table of this name already")


def _require_identifier(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or iskeyword(name) or len(name) > LONGEST:
        raise UnsuitableName(f"{name}: must be snake_case, at most {LONGEST} characters and no keyword of Python")


def _names(plural: str, singular: str) -> dict[str, str]:
    word, words = singular.replace("_", " "), plural.replace("_", " ")
    return {
        "items": plural,
        "item": singular,
        "Items": plural.title().replace("_", ""),
        "Item": singular.title().replace("_", ""),
        "path": plural.replace("_", "-"),
        "word": word,
        "words": words,
        "Words": words.capitalize(),
        "a_word": f"{'an' if word[0] in 'aeiou' else 'a'} {word}",
    }


def _folder(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None and spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations)))
