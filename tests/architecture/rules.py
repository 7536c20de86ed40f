"""Rules that imports cannot express: each reads the folders as syntax trees and yields what breaks it.

A rule is a function with `@rule`; its planted violation stands in `test_syntax_rules.py`.
"""

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

CODE = ("features", "platform", "tests", "migrations")
TOP_LEVEL = {
    "features", "platform", "tests", "migrations", "docs",
    "pyproject.toml", "requirements*.lock", "Dockerfile", "justfile", "README.md", "LICENSE",
}  # fmt: skip
DIRECTIVE = re.compile(r"(?:type: *[i]gnore|(?:ruff: *)?[n]oqa|mypy:)(?P<codes>\[[\w, -]+\]|: *[A-Z]+\d+[A-Z0-9, ]*)?")
TENANT_COMPARED = re.compile(
    r"\btenant_id\b['\"]?\s*([=<>]|!=|(not\s+)?in\s*\(|is\s+(not|null|distinct)\b)", re.IGNORECASE
)
OUTSIDE = {
    "aiohttp", "aiosmtplib", "http.client", "httpx", "litestar.background_tasks", "multiprocessing", "psycopg", "redis",
    "requests", "smtplib", "socket", "subprocess", "threading", "urllib.request",
}  # fmt: skip
ISOLATED = "row-level security filters by tenant; no slice does"


class Violation(NamedTuple):
    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


class Source:
    """One Python file; `path` is relative to the root."""

    def __init__(self, root: Path, file: Path) -> None:
        self.path = PurePosixPath(file.relative_to(root).as_posix())
        self.text = file.read_text(encoding="utf-8")

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(ast.parse(self.text)))

    @property
    def is_test(self) -> bool:
        return "tests" in self.path.parts

    def violation(self, line: int, message: str) -> Violation:
        return Violation(str(self.path), line, message)


class Tree:
    """The folders of a repository."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def all_sources(self) -> list[Source]:
        files = (file for folder in CODE for file in sorted((self.root / folder).rglob("*.py")))
        return [Source(self.root, file) for file in files]

    def sources(self, *folders: str) -> list[Source]:
        return [source for source in self.all_sources if source.path.parts[0] in folders]


Rule = Callable[[Tree], Iterable[Violation]]
RULES: dict[str, Rule] = {}


def rule(check: Rule) -> Rule:
    RULES[check.__name__] = check
    return check


@rule
def controllers_import_no_sqlalchemy(tree: Tree) -> Iterator[Violation]:
    for source in tree.sources("features"):
        if source.path.name == "controller.py":
            for line, name in imports_of(source):
                if name.partition(".")[0] in {"sqlalchemy", "advanced_alchemy"}:
                    yield source.violation(line, f"a controller imports {name}; queries belong into the repository")


@rule
def slices_evade_no_wall(tree: Tree) -> Iterator[Violation]:
    """What is imported or run by name is invisible to every other contract."""
    for source in tree.sources("features"):
        for line, name in imports_of(source):
            if name.partition(".")[0] in {"builtins", "importlib", "pkgutil", "runpy"} or name == "sys.modules":
                yield source.violation(line, f"imports {name}; import what you need by its name")
        for node in source.nodes:
            if isinstance(node, ast.Name) and node.id in {"__import__", "__builtins__", "eval", "exec"}:
                yield source.violation(node.lineno, f"uses {node.id}")
            if isinstance(node, ast.Attribute) and (terminal(node.value), node.attr) == ("sys", "modules"):
                yield source.violation(node.lineno, "uses sys.modules")


@rule
def slices_leave_the_transaction_alone(tree: Tree) -> Iterator[Violation]:
    for source in tree.sources("features"):
        for node in source.nodes:
            if isinstance(node, ast.Attribute) and node.attr in {"commit", "rollback"}:
                yield source.violation(node.lineno, f".{node.attr}: one request is one transaction, ended by the gate")


@rule
def slices_reach_outside_by_injection(tree: Tree) -> Iterator[Violation]:
    """The gate sees from a handler's dependencies whether the database has to be asked before it runs."""
    for source in tree.sources("features"):
        for line, name in imports_of(source):
            if not source.is_test and any(f"{name}.".startswith(f"{module}.") for module in OUTSIDE):
                yield source.violation(line, f"imports {name}; what acts outside of the database is injected")


@rule
def slices_have_an_empty_init(tree: Tree) -> Iterator[Violation]:
    """Code in `__init__.py` belongs to no layer."""
    for source in tree.sources("features"):
        if source.path.name == "__init__.py" and not source.is_test:
            body = ast.parse(source.text).body
            if not body or ast.get_docstring(ast.parse(source.text)) is None:
                yield source.violation(1, "says not what the slice is for and who may use it")
            for statement in body[1:]:
                yield source.violation(statement.lineno, "holds a docstring and nothing else")


@rule
def folders_are_packages(tree: Tree) -> Iterator[Violation]:
    """What lies in a folder without `__init__.py` is invisible to every contract."""
    for source in tree.sources("features", "platform"):
        folder = tree.root / source.path.parent
        if not (folder / "__init__.py").exists():
            yield source.violation(1, f"{source.path.parent} has no __init__.py")


@rule
def no_silenced_check_without_a_reason(tree: Tree) -> Iterator[Violation]:
    for source in tree.all_sources:
        for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
            if token.type == tokenize.COMMENT and (found := list(DIRECTIVE.finditer(token.string))):
                reason = DIRECTIVE.sub("", token.string)
                if not re.search(r"[A-Za-z]{2}", reason) or not all(match["codes"] for match in found):
                    yield source.violation(token.start[0], f"{token.string!r} names no code, or no reason after it")


@rule
def files_are_short(tree: Tree) -> Iterator[Violation]:
    for source in tree.sources("features", "platform", "tests"):
        lines = len(source.text.splitlines())
        limit = 60 if source.path == PurePosixPath("platform/tenantry/app.py") else 300 if source.is_test else 250
        if lines > limit:
            yield source.violation(limit + 1, f"{lines} lines; at most {limit}")


@rule
def functions_are_short(tree: Tree) -> Iterator[Violation]:
    for source in tree.sources("features", "platform", "tests"):
        for node in source.nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > 40:
                    yield source.violation(node.lineno, f"{node.name} has {lines} lines; at most 40")


@rule
def names_say_what_is_inside(tree: Tree) -> Iterator[Violation]:
    """A drawer that takes everything is in the end where everything is."""
    drawers = {"util", "utils", "helper", "helpers", "common", "manager", "managers"}
    for source in tree.all_sources:
        for part in (*source.path.parts[:-1], source.path.stem):
            if part.rpartition("_")[2] in drawers or part == "base_service":
                yield source.violation(1, f"{part!r} does not say what is inside")
                break


@rule
def platform_is_no_package(tree: Tree) -> Iterator[Violation]:
    """A package named `platform` would shadow the standard library's module."""
    for entry in visible(tree.root / "platform"):
        if entry.name != "tenantry":
            yield Violation(f"platform/{entry.name}", 1, "the source root holds tenantry and nothing else")


@rule
def top_level_is_closed(tree: Tree) -> Iterator[Violation]:
    gitignore = tree.root / ".gitignore"
    ignored = [line.rstrip("/") for line in gitignore.read_text().split()] if gitignore.exists() else []
    for entry in visible(tree.root):
        if not any(fnmatch(entry.name, pattern) for pattern in (*TOP_LEVEL, *ignored)):
            yield Violation(entry.name, 1, "nothing else lies at the top level without a reason")


@rule
def no_handwritten_tenant_filter(tree: Tree) -> Iterator[Violation]:
    """Row-level security filters. `tenant_id` of an owned row may be selected, or joined to another row's column."""
    owned, rows = subclasses(tree, {"TenantOwned"}), subclasses(tree, {"Base", "TenantOwned"})
    for source in tree.sources("features"):
        if not source.is_test:
            yield from filters_by_attribute(source, owned, rows)
            yield from filters_by_name(source)


def filters_by_attribute(source: Source, owned: set[str], rows: set[str]) -> Iterator[Violation]:
    named_owned, named_rows = names_for(source, owned | {"row_type"}), names_for(source, rows)
    parents = {child: node for node in source.nodes for child in ast.iter_child_nodes(node)}
    for node in source.nodes:
        if not isinstance(node, ast.Attribute) or node.attr != "tenant_id" or holder(node) not in named_owned:
            continue
        if not joins(parents[node], named_rows) and not selects(parents[node]):
            yield source.violation(node.lineno, f"{ast.unparse(node)}: {ISOLATED}")


def joins(user: ast.AST, rows: set[str]) -> bool:
    """Whether columns of rows are compared with nothing but such columns."""
    return isinstance(user, ast.Compare) and all(
        isinstance(side, ast.Attribute) and holder(side) in rows for side in (user.left, *user.comparators)
    )


def selects(user: ast.AST) -> bool:
    return isinstance(user, ast.Call) and terminal(user.func) in {"select", "returning", "order_by", "group_by"}


def filters_by_name(source: Source) -> Iterator[Violation]:
    by_name = {"attrgetter", "column", "filter_by", "getattr", "literal_column", "text"}
    docstrings = {id(node.value) for node in source.nodes if isinstance(node, ast.Expr)}
    for node in source.nodes:
        if isinstance(node, ast.Call) and terminal(node.func) in by_name:
            inside = [getattr(part, "arg", None) or getattr(part, "value", None) for part in ast.walk(node)]
            if "tenant_id" in inside:
                yield source.violation(node.lineno, f"{ast.unparse(node)}: {ISOLATED}")
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in docstrings:
            continue
        if TENANT_COMPARED.search(node.value):
            yield source.violation(node.lineno, f"{node.value!r}: {ISOLATED}")


def names_for(source: Source, classes: set[str]) -> set[str]:
    """These classes, and what the file calls them: `import Row as x`, `x = Row.__table__`, `x = aliased(Row)`."""
    names = set(classes)
    for node in source.nodes:
        if isinstance(node, ast.alias) and node.name in classes and node.asname:
            names.add(node.asname)
        if isinstance(node, ast.Assign | ast.NamedExpr | ast.AnnAssign) and node.value is not None:
            values = [node.value]
            if isinstance(node.value, ast.Call) and terminal(node.value.func) in {"aliased", "alias"}:
                values = [*node.value.args, node.value.func]
            if any(holder(value, inner=True) in classes for value in values):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def holder(node: ast.expr, *, inner: bool = False) -> str:
    """The class in `Row.x`, `Row.__table__.c.x`, `self.row_type.x`; with `inner`, `Row` itself too."""
    inside = node if inner else getattr(node, "value", node)
    while isinstance(inside, ast.Attribute) and inside.attr in {"__table__", "c", "columns", "alias"}:
        inside = inside.value
    return terminal(inside)


def subclasses(tree: Tree, bases: set[str]) -> set[str]:
    """Names of the classes in features that derive from one of these."""
    definitions = [node for s in tree.sources("features") for node in s.nodes if isinstance(node, ast.ClassDef)]
    found = set(bases)
    while more := {d.name for d in definitions if found & {terminal(base) for base in d.bases}} - found:
        found |= more
    return found - bases


def terminal(node: ast.AST) -> str:
    """`c` of `a.b.c`."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def imports_of(source: Source) -> Iterator[tuple[int, str]]:
    """Line and full name of each import, those inside functions too."""
    for node in source.nodes:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module or ''}.{alias.name}") for alias in node.names)


def visible(folder: Path) -> list[Path]:
    return sorted(e for e in folder.glob("*") if not e.name.startswith(".") and e.name != "__pycache__")
