from tenantry.testing import Api


async def test_live_and_startup(api: Api) -> None:
    """The process answers without asking any dependency."""
    live, startup = await api.get("//health/live"), await api.get("//health/startup")

    assert {"status": "ok", "checks": []} == live.json() == startup.json()


async def test_ready_names_its_checks(api: Api) -> None:
    """Readiness asks the database and its migrations, and says what it saw."""
    ready, health = await api.get("//health/ready"), await api.get("//health")

    assert (200, "ok") == (ready.status_code, ready.json()["status"])
    checks = {check["name"]: check["ok"] for check in ready.json()["checks"]}
    assert {"database": True, "migrations": True, "permissions": True} == checks
    assert 200 == health.status_code
