-- Products: additional columns, the dictionary of search, and the models that the shop role fits daily.

ALTER TABLE items
    ADD COLUMN kind           text NOT NULL DEFAULT '',
    ADD COLUMN brand          text,
    ADD COLUMN original_price double precision,
    ADD COLUMN rating         double precision,
    ADD COLUMN reviews        bigint,
    ADD COLUMN stock          bigint;
CREATE INDEX items_of_kind ON items (kind, category);

-- Products under the column names of a shop's own table.
CREATE VIEW products AS
SELECT item_id AS id, title AS name, category AS main_category, topics[1] AS sub_category, image_url AS image, url AS link,
       rating AS ratings, reviews AS no_of_ratings, price AS discount_price, original_price AS actual_price,
       round((1 - price / nullif(original_price, 0))::numeric, 4)::double precision AS discount_ratio
FROM items WHERE kind = 'product';

-- The trigrams of a word, with its beginning and its end marked.
CREATE FUNCTION trigrams(word text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT array_agg(DISTINCT substr('  ' || word || ' ', place, 3)) FROM generate_series(1, length(word) + 1) AS place
$$;

-- All words in the texts of items, with their trigrams for spelling correction and their vectors.
CREATE TABLE words (
    word     text PRIMARY KEY,
    items    integer NOT NULL,
    stem     text NOT NULL,
    trigrams text[] NOT NULL,
    -- Vector in the latent space of the products' texts; null for rare words.
    meaning  vector(128)
);
CREATE INDEX words_by_stem ON words (stem);
CREATE INDEX words_by_trigram ON words USING gin (trigrams);

-- From here on documents contain categories and brands: all are rebuilt.
UPDATE catalogue SET "offset" = -1;

-- Vector of a product's text in the same space, and the products with the most similar texts, most similar first.
CREATE TABLE likeness (
    item_id text PRIMARY KEY REFERENCES items ON DELETE CASCADE,
    meaning vector(128),
    others  text[] NOT NULL,
    scores  real[] NOT NULL
);
CREATE INDEX likeness_by_meaning ON likeness USING hnsw (meaning vector_cosine_ops);

-- Association rules: products clicked by users who click on another.
CREATE TABLE association_rules (
    item_id    text NOT NULL REFERENCES items ON DELETE CASCADE,
    other      text NOT NULL REFERENCES items ON DELETE CASCADE,
    support    real NOT NULL,
    confidence real NOT NULL,
    lift       real NOT NULL,
    PRIMARY KEY (item_id, other)
);

CREATE TABLE shop_fits (
    fitted_at timestamptz PRIMARY KEY,
    products  integer NOT NULL,
    baskets   integer NOT NULL,
    rules     integer NOT NULL,
    took_s    real NOT NULL
);
