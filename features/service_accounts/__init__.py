"""Service accounts: members that are programs. Admins create them, and give them a role and API keys."""
