import pyotp
import pytest

from features.mfa.tests.people import enter, log_in
from features.mfa.tests.test_totp import STEP
from tenantry.clock import now
from tenantry.testing import Api, World, problem

END = {"end_other_sessions": "true"}


@pytest.mark.asvs("7.4.3")
async def test_others_end_with_a_change(api: Api, world: World) -> None:
    """Whoever adds, replaces or removes a factor may end all their other sessions with it; else these go on."""
    ada = await world.account()
    others = [api.bearing((await log_in(api, ada)).json()["access_token"]) for _ in range(2)]
    secret = (await api.as_(ada).post("/auth/mfa/totp")).json()["secret"]
    code = {"code": pyotp.TOTP(secret).at(now())}
    added = await api.as_(ada).post("/auth/mfa/totp/confirm", json=code, params=END)
    ended = [await other.get("/auth/sessions") for other in others]
    last = api.bearing((await enter(api, ada, pyotp.TOTP(secret).at(now() + STEP)))["access_token"])
    await api.as_(ada).post("/auth/mfa/recovery-codes")
    goes_on = await last.get("/auth/sessions")
    renewed = await api.as_(ada).post("/auth/mfa/recovery-codes", params=END)
    renewal_ended = await last.get("/auth/sessions")
    again = (await enter(api, ada, renewed.json()["recovery_codes"][0]))["access_token"]
    removed = await api.as_(ada).delete("/auth/mfa/totp", params=END)

    assert (200, 200, 204) == (added.status_code, renewed.status_code, removed.status_code)
    assert [problem(401, "session_ended")] * 4 == [
        *ended,
        renewal_ended,
        await api.bearing(again).get("/auth/sessions"),
    ]
    assert 200 == goes_on.status_code
    assert 200 == (await api.as_(ada).get("/auth/sessions")).status_code
