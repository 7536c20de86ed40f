"""Settings of tenants: each slice declares its section, and all of them together are one type.

    class MembersSettings(SettingsSection):
        invitation_days: Annotated[int, Meta(ge=1, le=90)] = 7

in the `settings.py` of the slice `members` is what a tenant may set under `members`. Stored is only what was set.
"""

from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import Uuid, bindparam, column, select, table
from sqlalchemy.dialects.postgresql import JSONB

from tenantry.db.session import UnitOfWork
from tenantry.errors import Unprocessable
from tenantry.feature import slice_modules

__all__ = ("SettingsSection", "SettingsShape", "WrongSetting", "settings_of")

TENANTS = table("tenants", column("id", Uuid()), column("settings", JSONB()))
STORED = select(TENANTS.c.settings).where(TENANTS.c.id == bindparam("tenant", type_=Uuid()))


class SettingsSection(Struct, forbid_unknown_fields=True, kw_only=True):
    """Every field has a default. What no type can say, `__post_init__` refuses with `WrongSetting`."""


SectionT = TypeVar("SectionT", bound=SettingsSection)


class WrongSetting(ValueError):
    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


class SettingsShape:
    """All sections together: `whole` is the type of what a tenant has, `patch` that of a change."""

    def __init__(self, sections: Mapping[str, type[SettingsSection]]) -> None:
        self.sections = sections
        self.whole = msgspec.defstruct(
            "TenantSettings",
            [(name, section, msgspec.field(default_factory=section)) for name, section in sections.items()],
        )
        patches = {name: _patch_of(section) for name, section in sections.items()}
        self.patch = msgspec.defstruct(
            "TenantSettingsPatch",
            [(name, patch | None, msgspec.field(default_factory=patch)) for name, patch in patches.items()],
            forbid_unknown_fields=True,
        )

    @classmethod
    def of(cls, package: str) -> "SettingsShape":
        """Of all slices of the package that have a `settings.py`."""
        return cls(declared_sections(slice_modules(package, "settings")))

    def complete(self, stored: Mapping[str, Any]) -> Any:
        """`whole`, with the defaults of all that was not set."""
        return self.whole(*(completed(section, stored.get(name, {})) for name, section in self.sections.items()))

    def merge(self, stored: Mapping[str, Any], patch: Any) -> dict[str, Any]:
        """What is to be stored after the change. Null, for a field or for a section, puts back the default.

        Raises:
            Unprocessable: with a JSON pointer into the body of the request.
        """
        merged = dict(stored)
        for name, section in self.sections.items():
            part = getattr(patch, name)
            if part is None:
                merged.pop(name, None)
                continue
            given = {field: getattr(part, field) for field in part.__struct_fields__}
            if changes := {field: value for field, value in given.items() if value is not UNSET}:
                after = {**stored.get(name, {}), **msgspec.to_builtins(changes)}
                merged[name] = {field: value for field, value in after.items() if value is not None}
                _refuse_wrong(name, section, merged[name])
        return merged


async def settings_of(unit_of_work: UnitOfWork, section: type[SectionT]) -> SectionT:
    """A slice's own settings, in the tenant that is bound."""
    stored = await unit_of_work.scalar(STORED, {"tenant": unit_of_work.tenant_id})
    return completed(section, (stored or {}).get(_name_of(section), {}))


def declared_sections(modules: Iterable[ModuleType]) -> dict[str, type[SettingsSection]]:
    """By the name of the slice."""
    return {
        _name_of(value): value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, SettingsSection) and value.__module__ == module.__name__
    }


def completed(section: type[SectionT], stored: Mapping[str, Any]) -> SectionT:
    """What the slice does not take any more counts as not set."""
    known = {name: value for name, value in stored.items() if name in section.__struct_fields__}
    try:
        return msgspec.convert(known, section)
    except msgspec.ValidationError:
        return msgspec.convert({name: value for name, value in known.items() if _fits(section, name, value)}, section)


def _fits(section: type[SettingsSection], name: str, value: object) -> bool:
    try:
        msgspec.convert({name: value}, section)
    except msgspec.ValidationError:
        return False
    return True


def _refuse_wrong(name: str, section: type[SettingsSection], values: dict[str, Any]) -> None:
    try:
        msgspec.convert(values, section)
    except msgspec.ValidationError as error:
        cause = error.__cause__
        field = f"/{cause.field}" if isinstance(cause, WrongSetting) else ""
        detail = str(cause) if isinstance(cause, WrongSetting) else f"{error}."
        raise Unprocessable(errors=[{"detail": detail, "pointer": f"/settings/{name}{field}"}]) from error


def _name_of(section: type[SettingsSection]) -> str:
    return section.__module__.split(".")[-2]


def _patch_of(section: type[SettingsSection]) -> type[Struct]:
    fields = [(field.name, field.type | None | UnsetType, UNSET) for field in msgspec.structs.fields(section)]
    return msgspec.defstruct(f"{section.__name__}Patch", fields, forbid_unknown_fields=True, module=section.__module__)
