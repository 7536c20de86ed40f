"""Projects of the active tenant. Members work on them, viewers see them. The slice that others copy."""
