-- Extensions that only a superuser may create, and a change of owner for objects from before our role existed.

CREATE EXTENSION IF NOT EXISTS vector;

DO $$ DECLARE found record; BEGIN
    FOR found IN
        SELECT oid::regclass AS name FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
          AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
    LOOP EXECUTE format('ALTER TABLE %s OWNER TO millrace', found.name); END LOOP;
    FOR found IN
        SELECT oid::regprocedure AS name FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
          AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
    LOOP EXECUTE format('ALTER ROUTINE %s OWNER TO millrace', found.name); END LOOP;
END $$;

-- What `millrace purge` needs to end a file of the write-ahead log.

GRANT EXECUTE ON FUNCTION pg_switch_wal() TO millrace;

