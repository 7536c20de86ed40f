"""OpenID Connect as a client: how this service believes an identity provider."""
