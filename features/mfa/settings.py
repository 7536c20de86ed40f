from typing import Annotated

from msgspec import Meta

from tenantry.tenancy.settings import SettingsSection


class MfaSettings(SettingsSection):
    required: Annotated[
        bool, Meta(description="Members get in only with a second factor; the next request of the others is refused")
    ] = False
