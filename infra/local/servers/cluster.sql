-- Our role, which is no superuser, and our database; runs in the server's single-user mode, statement by statement.

DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'millrace') THEN CREATE ROLE millrace; END IF;
END $$;

SET password_encryption = 'scram-sha-256';

ALTER ROLE millrace LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD '{password}';

-- What `millrace purge` needs to drop the write-ahead log of erased rows.

GRANT pg_checkpoint TO millrace;

CREATE DATABASE millrace OWNER millrace;

ALTER DATABASE millrace OWNER TO millrace;

