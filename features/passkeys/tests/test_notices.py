import pytest

from features.passkeys.tests.owners import key_of, password_only, register
from tenantry.config import Settings
from tenantry.testing import Api, Mailbox, World, problem


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


@pytest.mark.asvs("7.4.3")
async def test_others_end_with_a_change(api: Api, world: World, settings: Settings) -> None:
    """If their owner wants it so, who adds or removes a passkey; else they go on."""
    ada, key = await world.account(), key_of(settings)
    other = api.bearing((await password_only(api, ada)).json()["access_token"])
    id = (await register(api, ada, key)).json()["id"]
    goes_on = await other.get("/auth/sessions")
    removed = await api.as_(ada).delete(f"/auth/passkeys/{id}", params={"end_other_sessions": "true"})

    assert (200, 204) == (goes_on.status_code, removed.status_code)
    assert problem(401, "session_ended") == await other.get("/auth/sessions")
    assert 200 == (await api.as_(ada).get("/auth/sessions")).status_code
