"""The tables that no tenant owns: the short list."""

from typing import NamedTuple

__all__ = ("GLOBAL",)


class Exempt(NamedTuple):
    """A table that holds rows of no tenant or of all."""

    verbs: str
    """What the runtime role may do with it at most."""
    reason: str


GLOBAL = {
    "users": Exempt("SELECT INSERT UPDATE", "one person is a member of many tenants"),
    "sign_ups": Exempt("SELECT INSERT UPDATE DELETE", "nobody is anybody's member yet"),
    "sessions": Exempt("SELECT INSERT UPDATE", "a session works for one tenant after another"),
    "refresh_tokens": Exempt("SELECT INSERT UPDATE DELETE", "each belongs to a session"),
    "address_changes": Exempt("SELECT INSERT UPDATE DELETE", "a person has one address for all tenants"),
    "password_resets": Exempt("SELECT INSERT DELETE", "a person has one password for all tenants"),
    "login_challenges": Exempt("SELECT INSERT DELETE", "who takes the first of two steps is not logged in yet"),
    "second_factors": Exempt("SELECT INSERT DELETE", "a factor is a person's, in whatever tenant"),
    "totp_secrets": Exempt("SELECT INSERT UPDATE DELETE", "each belongs to a factor, or to one that is being enrolled"),
    "recovery_codes": Exempt("SELECT INSERT DELETE", "they stand in for factors"),
    "passkeys": Exempt("SELECT INSERT UPDATE DELETE", "each is a factor"),
    "passkey_ceremonies": Exempt("SELECT INSERT UPDATE DELETE", "a log-in by passkey begins before anybody is known"),
    "tenants": Exempt("SELECT INSERT UPDATE DELETE", "what rows belong to; row-level security compares its id"),
    "roles": Exempt("SELECT", "the built-in roles are the same for all"),
    "role_permissions": Exempt("SELECT", "mirrors what slices declare"),
    "plan_quotas": Exempt("SELECT", "mirrors what slices declare; a plan is the same for all its tenants"),
    "erasures": Exempt("INSERT", "evidence that outlives the tenant; only operators read it"),
    "sso_domains": Exempt("SELECT", "an address leads to a tenant before anybody is known; only operators write it"),
    "sso_flows": Exempt(
        "SELECT INSERT UPDATE DELETE", "who is on the way to an identity provider is not logged in yet"
    ),
    "identities": Exempt(
        "SELECT INSERT UPDATE DELETE", "one person, as an issuer knows them, is a member of many tenants"
    ),
    "signing_keys": Exempt("SELECT", "the service signs for all tenants; only operators make keys"),
    "throttles": Exempt("SELECT INSERT UPDATE DELETE", "attempts are counted before anybody knows whose they are"),
    "mail_queue": Exempt("SELECT INSERT UPDATE DELETE", "mail goes to people, many of them nobody's members yet"),
    "alembic_version": Exempt("SELECT", "readiness compares it with the code"),
}
