"""Single sign-on: a tenant's own identity providers and the operator's, and the identities that people link."""
