"""`.env.example`, made from the settings so that it cannot fall behind them."""

import msgspec

from tenantry.config import Settings, variable

__all__ = ("env_example",)

HEADER = """\
# Settings of Tenantry, each as it is without a setting, or with an example of one.
# Copy this file to `.env` and take the `#` from what you set. A variable of the environment is stronger than `.env`.
# Every <NAME> may be given as <NAME>_FILE instead: the path of a file that holds the value, such as a secret.
# Written by `just env-example`.
"""


def env_example() -> str:
    struct = msgspec.inspect.type_info(Settings)
    assert isinstance(struct, msgspec.inspect.StructType)
    return HEADER + "".join(_entry(field) for field in struct.fields)


def _entry(field: msgspec.inspect.Field) -> str:
    about = field.type
    assert isinstance(about, msgspec.inspect.Metadata), f"{field.name} has no description"
    description = (about.extra_json_schema or {})["description"]
    value = str((about.extra or {})["example"] if field.default is None else field.default)
    if " " in value:
        value = f'"{value}"'
    return f"\n# {description}\n# {variable(field.name)}={value}\n"
