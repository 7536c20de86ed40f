"""A route that does not say who may use it, or acts after its answer, keeps the service from booting."""

from importlib import import_module

import pytest

from tenantry.app import create_app
from tenantry.config import Settings
from tenantry.http.deny_by_default import ActsAfterwards, UndeclaredPolicy

HEAD = """
from litestar import Controller, WebSocket, asgi, get, post, websocket
from tenantry.http.policy import allow, public, signed_in
from tenantry.security.permissions import Permission, Role
READ = Permission("planted:read", "See what is planted", Role.viewer)
"""
DECLARED = """
class Planted(Controller):
    path = "/planted"

    @get("/public", opt=public("planted"))
    async def of_anyone(self) -> None: ...

    @get("/signed-in", opt=signed_in())
    async def of_someone(self) -> None: ...

    @get("/allowed", opt=allow(READ))
    async def of_members(self) -> None: ...
"""
UNDECLARED = """
class Planted(Controller):
    path = "/planted"

    @get("/declared", opt=public("planted"))
    async def declared(self) -> None: ...

    @post("/forgotten")
    async def forgotten(self) -> None: ...
"""
INHERITED = """
class Planted(Controller):
    path = "/planted"
    opt = allow(READ)

    @get("/inherits")
    async def inherits(self) -> None: ...
"""
OVERRIDDEN = """
class Planted(Controller):
    path = "/planted"
    opt = public("planted")

    @get("/overrides", opt=allow(READ))
    async def overrides(self) -> None: ...
"""
WEBSOCKET = """
class Planted(Controller):
    path = "/planted"

    @websocket("/socket", opt=public("planted"))
    async def socket(self, socket: WebSocket) -> None: ...
"""
MOUNTED = """
@asgi("/planted/mounted", is_mount=True, copy_scope=True, opt=public("planted"))
async def Planted(scope: object, receive: object, send: object) -> None: ...
"""
BACKGROUND = """
from litestar.background_tasks import BackgroundTask

class Planted(Controller):
    path = "/planted"

    @post("/acts", opt=public("planted"), background=BackgroundTask(print))
    async def acts(self) -> None: ...
"""
AFTER_RESPONSE = """
class Planted(Controller):
    path = "/planted"
    after_response = print

    @post("/acts", opt=public("planted"))
    async def acts(self) -> None: ...
"""


def test_declared_routes_boot(boot):
    """Each of the three policies is a declaration."""
    app = boot(DECLARED)

    paths = {route.path for route in app.routes}
    assert {f"/api/v1/planted/{path}" for path in ("public", "signed-in", "allowed")} <= paths


def test_undeclared_route_does_not_boot(boot):
    """One route without a policy among declared ones is refused, and the error names it and its handler."""
    with pytest.raises(UndeclaredPolicy, match=r"POST /api/v1/planted/forgotten \(.*\.controller\.forgotten\)"):
        boot(UNDECLARED)


@pytest.mark.parametrize("controller", [INHERITED, OVERRIDDEN], ids=["inherited", "overridden"])
def test_policy_on_a_controller_does_not_boot(boot, controller):
    """Handlers would inherit it silently, so it is refused even where every handler has its own."""
    with pytest.raises(UndeclaredPolicy, match=r"/api/v1/planted/.* not on its controller"):
        boot(controller)


@pytest.mark.parametrize("handler", [WEBSOCKET, MOUNTED], ids=["websocket", "mounted"])
def test_route_that_no_policy_covers_does_not_boot(boot, handler):
    """The gate guards HTTP routes; what passes it by is refused, whatever it declares."""
    with pytest.raises(UndeclaredPolicy, match=r"/planted/(socket|mounted)"):
        boot(handler)


@pytest.mark.parametrize("controller", [BACKGROUND, AFTER_RESPONSE], ids=["background", "after_response"])
def test_route_that_acts_after_its_answer_does_not_boot(boot, controller):
    """What runs after the answer would run also when the commit has failed, and is lost with the process."""
    with pytest.raises(ActsAfterwards, match=r"POST /api/v1/planted/acts"):
        boot(controller)


@pytest.fixture
def boot(tmp_path, monkeypatch):
    """The application with one planted slice and no other."""
    package = f"planted_{tmp_path.name}"

    def boot(controller: str):
        folder = tmp_path / package / "planted"
        folder.mkdir(parents=True)
        for init in (folder.parent, folder):
            (init / "__init__.py").touch()
        (folder / "controller.py").write_text(HEAD + controller)
        (folder / "plugin.py").write_text(
            f"from {package}.planted.controller import Planted\n"
            "from tenantry.feature import Feature\n"
            'feature = Feature("planted", controllers=[Planted])\n'
        )
        monkeypatch.syspath_prepend(tmp_path)
        import_module(package)
        return create_app(Settings(home=str(tmp_path / "home")), features=package)

    return boot
