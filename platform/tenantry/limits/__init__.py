"""How much may be asked of the service: rates of requests, attempts at secrets, and requests at the same time."""
