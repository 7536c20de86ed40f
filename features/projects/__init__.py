"""Projects of a tenant: the exemplar that other slices copy. For every member; see permissions.py."""
