"""Secret scanners find API keys by what docs/api-keys.md says of them."""

import base64
import re
import zlib
from pathlib import Path
from typing import Any

import pytest

from tenantry.ids import new_id
from tenantry.security.api_keys import new_key

DOCUMENT = (Path(__file__).parents[2] / "docs" / "api-keys.md").read_text()


def documented(language: str) -> str:
    """The one block of code in that language."""
    found: list[str] = re.findall(rf"```{language}\n(.+?)\n```", DOCUMENT, re.DOTALL)
    (block,) = found
    return block


@pytest.mark.parametrize("repetition", range(20))
def test_scanners_find_keys(repetition: int) -> None:
    """The documented expression finds a key in any text, and the checksum tells it from what only looks like one."""
    key, lookalike = new_key(new_id(), new_id(), new_id()).text, f"tny_{'A' * 100}"
    leaked = f'TOKEN="{key}"\ncurl -H X-API-Key:{key}; # {lookalike} a{key} {key}a tny_short {key[:-1]}'
    scanner: dict[str, Any] = {"base64": base64, "zlib": zlib}
    exec(documented("python"), scanner)  # noqa: S102 -- it is our own documentation
    found = re.findall(documented("regex"), leaked)

    assert [key, key, lookalike] == found
    assert [True, True, False] == [scanner["is_key"](each) for each in found]
