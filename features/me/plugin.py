from features.me.controller import AddressController, MeController
from features.me.service import AddressService, DepartureService, ProfileService
from tenantry.feature import Feature

feature = Feature(
    "me",
    controllers=[MeController, AddressController],
    provides={"profile": ProfileService, "addresses": AddressService, "departure": DepartureService},
)
