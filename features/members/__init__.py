"""The people of the active tenant, and those who are invited. Admins decide who comes, who goes, and as what."""
