-- The catalogue made ready to be searched by text, by likeness and by distance, and to recognise what is there already.
-- All of it follows from the table items; the archive role keeps it up.

CREATE EXTENSION IF NOT EXISTS vector;

CREATE TABLE catalogue (
    item_id     text PRIMARY KEY REFERENCES items ON DELETE CASCADE,
    category    text NOT NULL,
    -- What the item is recognised by; empty where it tells none.
    title_key   text NOT NULL,
    year        text NOT NULL,
    city_key    text NOT NULL,
    -- Where it is, and the coarse H3 cell around that; null when nowhere in particular.
    latitude    double precision,
    longitude   double precision,
    region      text,
    document    tsvector NOT NULL,
    -- Null when the text says nothing to the encoder.
    embedding   vector(384),
    encoder     text NOT NULL,
    created_at  timestamptz NOT NULL,
    -- The version of the item that this follows from.
    appended_at timestamptz NOT NULL,
    "offset"    bigint NOT NULL
);
CREATE INDEX catalogue_by_identity ON catalogue (category, title_key);
CREATE INDEX catalogue_by_region ON catalogue (region, category);
CREATE INDEX catalogue_by_city ON catalogue (city_key, category);
CREATE INDEX catalogue_by_text ON catalogue USING gin (document);
CREATE INDEX catalogue_by_likeness ON catalogue USING hnsw (embedding vector_cosine_ops);

-- Where PostGIS is there, and may be used, distances are its business.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'postgis') THEN
        CREATE EXTENSION IF NOT EXISTS postgis;
        EXECUTE 'CREATE INDEX catalogue_by_place ON catalogue'
            ' USING gist ((ST_SetSRID(ST_MakePoint(longitude, latitude), 4326)::geography))';
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'PostGIS is there and may not be created: places are searched by H3 cells';
END
$$;
