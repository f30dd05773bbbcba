-- Search index of the catalog by text, similarity and distance, with keys that identify existing items.
-- It is derived from the table items and maintained by the archive role.

CREATE EXTENSION IF NOT EXISTS vector;

CREATE TABLE catalogue (
    item_id     text PRIMARY KEY REFERENCES items ON DELETE CASCADE,
    category    text NOT NULL,
    -- Identifying fields; empty if the item has none.
    title_key   text NOT NULL,
    year        text NOT NULL,
    city_key    text NOT NULL,
    -- Location with its coarse H3 cell; null for items without a location.
    latitude    double precision,
    longitude   double precision,
    region      text,
    document    tsvector NOT NULL,
    -- Null if the encoder knows no word of the text.
    embedding   vector(384),
    encoder     text NOT NULL,
    created_at  timestamptz NOT NULL,
    -- Version of the item that this row is derived from.
    appended_at timestamptz NOT NULL,
    "offset"    bigint NOT NULL
);
CREATE INDEX catalogue_by_identity ON catalogue (category, title_key);
CREATE INDEX catalogue_by_region ON catalogue (region, category);
CREATE INDEX catalogue_by_city ON catalogue (city_key, category);
CREATE INDEX catalogue_by_text ON catalogue USING gin (document);
CREATE INDEX catalogue_by_likeness ON catalogue USING hnsw (embedding vector_cosine_ops);

-- Index for distances, if PostGIS is available and may be created.
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
