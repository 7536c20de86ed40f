"""The database: models' base, unit of work, repositories, row-level security, embedded server."""
