-- What the database's administrator does once, before the first `xq bridge`, with `psql -f ops/postgres.sql postgres`; then
-- `createdb --owner xq_owner xq`, and whoever logs in gets xq_reader or xq_compliance.
-- xq_owner owns the tables, xq_bridge appends and upserts, xq_reader reads what everybody may, xq_compliance all.
-- None is a superuser. A consumer of the publication is a login role with REPLICATION and xq_reader.
-- In postgresql.conf: wal_level = logical and max_slot_wal_keep_size = 16GB, so that a consumer that stays away cannot
-- fill the disk.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'xq_owner') THEN
        CREATE ROLE xq_owner NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'xq_bridge') THEN
        CREATE ROLE xq_bridge LOGIN NOINHERIT;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'xq_reader') THEN
        CREATE ROLE xq_reader NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'xq_compliance') THEN
        CREATE ROLE xq_compliance NOLOGIN;
    END IF;
END
$$;
GRANT xq_owner TO xq_bridge;
GRANT xq_reader TO xq_compliance;
