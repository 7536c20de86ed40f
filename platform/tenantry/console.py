"""What commands say to the person at the terminal."""

from rich.console import Console

__all__ = ("console", "say")

console = Console()


def say(line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
