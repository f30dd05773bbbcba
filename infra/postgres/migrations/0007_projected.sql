-- Partitions of topics that the tables hold completely; the archive role reads all others again.

CREATE TABLE projected (
    name text PRIMARY KEY,
    at   timestamptz NOT NULL DEFAULT now()
);

-- Partitions archived before this table existed are not read again.
INSERT INTO projected (name)
SELECT DISTINCT topic || '-' || partition FROM interactions
UNION
SELECT DISTINCT topic || '-' || partition FROM items;
