"""One folder a capability. Each registers itself; nothing lists them."""
