"""The signing keys of the database: kept there, read by every worker, changed by operators."""
