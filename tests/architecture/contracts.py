"""What import-linter lacks for the contracts of `pyproject.toml`: a cycle that is reported with its lines."""

from typing import Any

import grimp
from importlinter import ContractCheck, output
from importlinter.contracts.acyclic_siblings import AcyclicSiblingsContract


class Acyclic(AcyclicSiblingsContract):
    """`acyclic_siblings`, which names packages, and under it the very imports to remove."""

    def check(self, graph: grimp.ImportGraph, verbose: bool) -> ContractCheck:
        check = super().check(graph, verbose)
        check.metadata["breakers"] = [
            f"{importer} -> {imported} ({lines_of(graph, importer, imported)})"
            for breakers in check.metadata["cycle_breakers_by_package"].values()
            for importer, imported in sorted(breakers)
        ]
        return check

    def render_broken_contract(self, check: ContractCheck) -> None:
        super().render_broken_contract(check)
        for breaker in check.metadata["breakers"]:
            output.print_error(f"- {breaker}", bold=False)


def lines_of(graph: grimp.ImportGraph, importer: str, imported: str) -> str:
    details: list[Any] = list(graph.get_import_details(importer=importer, imported=imported))
    return ", ".join(f"l.{detail['line_number']}" for detail in details)
