import pytest

from features.passkeys.tests.owners import key_of, register
from tenantry.config import Settings
from tenantry.testing import Api, Mailbox, World


@pytest.mark.asvs("6.3.7")
async def test_changes_are_told(api: Api, world: World, mailbox: Mailbox, settings: Settings) -> None:
    """A passkey that is added or removed, by its name."""
    ada, key = await world.account(), key_of(settings)
    id = (await register(api, ada, key, "Blue key")).json()["id"]
    await api.as_(ada).delete(f"/auth/passkeys/{id}")
    await api.as_(ada).delete(f"/auth/passkeys/{id}")
    mails = mailbox.to(ada.email)

    assert ["A way to prove who you are was added", "A way to prove who you are was removed"] == [
        mail["Subject"] for mail in mails
    ]
    assert all("the passkey “Blue key”" in mail.get_content() for mail in mails)
