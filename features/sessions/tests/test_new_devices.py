import pytest

from tenantry.ids import new_id
from tenantry.testing import PASSWORD, Account, Api, Mailbox, World

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:{0}) Gecko/20100101 Firefox/{0}"


async def log_in(api: Api, account: Account, user_agent: str) -> int:
    login = {"email": account.email, "password": PASSWORD}
    return (await api.post("/auth/login", json=login, headers={"User-Agent": user_agent})).status_code


async def test_new_device_is_told(api: Api, world: World, mailbox: Mailbox) -> None:
    """Who logs in with a device that no earlier session had is told by mail, once, and not for a newer version."""
    ada = await world.account()
    agents = ["curl/8.1", FIREFOX.format("142.0"), FIREFOX.format("143.0"), "curl/8.1"]
    counts = []
    for agent in agents:
        status = await log_in(api, ada, agent)
        counts.append((status, len(mailbox.to(ada.email))))
    mail = mailbox.to(ada.email)[-1]

    assert [(200, 1), (200, 2), (200, 2), (200, 2)] == counts
    assert "New log-in" in mail["Subject"]
    assert agents[1] in mail.get_content()
    assert "Address: " in mail.get_content()


@pytest.mark.parametrize("agent", ['<img src="x" onerror="y">', "Bcc: eve@example.com"])
async def test_device_bends_no_mail(api: Api, world: World, mailbox: Mailbox, agent: str) -> None:
    """What a browser calls itself is text in the mail, whatever it is."""
    ada = await world.account()
    await log_in(api, ada, agent)
    (mail,) = mailbox.to(ada.email)

    assert "<img" not in mail.html
    assert mail["Bcc"] is None


async def test_very_first_log_in_is_no_news(api: Api, mailbox: Mailbox) -> None:
    """After a sign-up nobody is told of their own first log-in; a wrong password tells nobody anything."""
    email = f"ada-{new_id().hex}@example.com"
    await api.post("/auth/signup", json={"email": email, "password": PASSWORD, "name": "Ada"})
    await api.post("/auth/email/verify", json={"token": mailbox.token(email)})
    first = await api.post("/auth/login", json={"email": email, "password": PASSWORD})
    wrong = {"email": email, "password": "wrong horse battery staple"}
    refused = await api.post("/auth/login", json=wrong, headers={"User-Agent": "another"})

    assert (200, 401) == (first.status_code, refused.status_code)
    assert ["Confirm your e-mail address"] == [mail["Subject"] for mail in mailbox.to(email)]
