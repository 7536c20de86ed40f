"""All that makes up a database's schema, as lines that can be compared."""

from sqlalchemy import URL, NullPool, create_engine, text

__all__ = ("schema_of",)

QUERIES = (
    """
    SELECT c.relkind, c.relname, c.relowner::regrole, c.relrowsecurity, c.relforcerowsecurity, c.reloptions,
           (SELECT array_agg(g::text ORDER BY g::text) FROM unnest(c.relacl) g)
    FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace
    """,
    """
    SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
           a.attgenerated, a.attcollation::regcollation, pg_get_expr(d.adbin, d.adrelid),
           (SELECT array_agg(g::text ORDER BY g::text) FROM unnest(attacl) g)
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
    """,
    """
    SELECT conrelid::regclass, conname, pg_get_constraintdef(oid), condeferrable, condeferred
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    """,
    "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "SELECT tablename, policyname, permissive, roles, cmd, qual, with_check FROM pg_policies",
    """
    SELECT p.proowner::regrole, pg_get_functiondef(p.oid),
           (SELECT array_agg(g::text ORDER BY g::text) FROM unnest(p.proacl) g)
    FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND p.prokind <> 'a'
    """,
    """
    SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND c.relnamespace = 'public'::regnamespace
    """,
    "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'",
    "SELECT typname, typtype FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd')",
    "SELECT extname FROM pg_extension",
)


def schema_of(admin: URL) -> list[str]:
    with create_engine(admin, poolclass=NullPool).connect() as connection:
        return sorted(str(tuple(row)) for query in QUERIES for row in connection.execute(text(query)))
