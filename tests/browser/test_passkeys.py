"""A passkey in a real browser, whose virtual authenticator nobody here wrote."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.virtual_authenticator import VirtualAuthenticatorOptions

from tenantry.config import Settings
from tenantry.testing import World
from tenantry.testing.service import LiveService, running_service

pytestmark = pytest.mark.browser

SCRIPT = """
const [body, done] = arguments;
const call = async (path, token, data) => {
  const headers = {'Content-Type': 'application/json', ...(token ? {Authorization: 'Bearer ' + token} : {})};
  if (data === undefined) delete headers['Content-Type'];
  const options = {method: 'POST', headers, body: data === undefined ? undefined : JSON.stringify(data)};
  const answer = await fetch('/api/v1' + path, options);
  return {status: answer.status, body: await answer.json()};
};
const get = async (ceremony) => {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(ceremony.body.public_key);
  return (await navigator.credentials.get({publicKey})).toJSON();
};
(async () => { %s })().then(done, (error) => done({error: String(error)}));
"""
REGISTER = """
  const ceremony = await call('/auth/passkeys/options', body.token);
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(ceremony.body.public_key);
  const credential = (await navigator.credentials.create({publicKey})).toJSON();
  return await call('/auth/passkeys', body.token, {credential, name: 'Chromium'});
"""
LOG_IN = """
  const credential = await get(await call('/auth/passkeys/login/options'));
  return await call('/auth/passkeys/login/verify', null, {credential});
"""
SECOND_STEP = """
  const {body: {challenge}} = await call('/auth/login', null, {email: body.email, password: body.password});
  const credential = await get(await call('/auth/mfa/passkey/options', null, {challenge}));
  return await call('/auth/mfa/passkey/verify', null, {challenge, credential});
"""


@pytest.fixture(scope="module")
def service(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    """Under a name: browsers have no passkeys for addresses, and `localhost` needs no certificate."""
    with running_service(settings, tmp_path_factory.mktemp("service"), name="localhost") as service:
        yield service


def run(browser: Chrome, script: str, **body: Any) -> dict[str, Any]:
    answer: dict[str, Any] = browser.execute_async_script(SCRIPT % script, body)
    return answer


async def test_passkey_of_a_browser(browser: Chrome, service: LiveService, world: World, tmp_path: Path) -> None:
    """It is made, logs in alone, is the second step after a password, and is not made a second time."""
    ada = await world.account()
    known = {"email": ada.email, "password": ada.password}
    async with httpx.AsyncClient(base_url=f"{service.url}/api/v1", trust_env=False) as client:
        token = (await client.post("/auth/login", json=known)).json()["access_token"]
    options = VirtualAuthenticatorOptions(
        transport=VirtualAuthenticatorOptions.Transport.INTERNAL,
        has_resident_key=True,
        has_user_verification=True,
        is_user_verified=True,
    )
    browser.add_virtual_authenticator(options)
    browser.get(f"{service.url}/docs")
    browser.set_script_timeout(30)

    made = run(browser, REGISTER, token=token)
    again = run(browser, REGISTER, token=token)
    alone = run(browser, LOG_IN)
    stepped = run(browser, SECOND_STEP, **known)

    assert (201, 10) == (made.get("status"), len(made["body"]["recovery_codes"])), made
    assert "InvalidStateError" in again["error"]
    assert (200, 200) == (alone.get("status"), stepped.get("status")), (alone, stepped)
    assert alone["body"]["refresh_token"]
