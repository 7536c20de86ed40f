from typing import Annotated
from zoneinfo import ZoneInfo

from msgspec import Meta

from tenantry.tenancy.settings import SettingsSection, WrongSetting


class TenantsSettings(SettingsSection):
    """What holds for all slices."""

    locale: Annotated[
        str,
        Meta(
            pattern=r"^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$(?!\n)",
            description="Language, and where it matters script and region, as BCP 47 writes them",
            examples=["de-CH"],
        ),
    ] = "en"
    time_zone: Annotated[
        str, Meta(max_length=64, description="A name of the IANA time zone database", examples=["Europe/Zurich"])
    ] = "UTC"

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.time_zone)
        except (KeyError, ValueError, OSError) as error:
            raise WrongSetting("time_zone", "There is no such time zone.") from error
