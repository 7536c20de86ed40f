"""The platform: what every slice stands on. It never imports `features`."""

import gc

# Loading makes some hundred thousand objects, and looking for garbage among them took a tenth of the start or more.
gc.set_threshold(50_000, 20, 50)
