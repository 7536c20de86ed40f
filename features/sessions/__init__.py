"""Sessions and their tokens: kept alive, switched from tenant to tenant, and ended. Open to who has logged in."""
