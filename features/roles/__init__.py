"""Roles: what members may do. The built-in ones are the same for all; a tenant adds its own."""
