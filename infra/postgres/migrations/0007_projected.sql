-- The partitions of topics that the tables hold whole; the archive role reads those again that are not here.

CREATE TABLE projected (
    name text PRIMARY KEY,
    at   timestamptz NOT NULL DEFAULT now()
);

-- What was archived before there was this table is not read again.
INSERT INTO projected (name)
SELECT DISTINCT topic || '-' || partition FROM interactions
UNION
SELECT DISTINCT topic || '-' || partition FROM items;
