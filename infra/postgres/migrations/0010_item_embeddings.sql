-- Embeddings of items by what people do, beside those of their texts in the table catalogue.
-- Rows are written from the topic item-embeddings, of items in the catalogue or not. Their length is that of
-- EMBEDDING_DIM: the archive role empties the table and changes its type after that setting has changed.

CREATE TABLE item_embeddings (
    item_id     text PRIMARY KEY,
    embedding   halfvec(128) NOT NULL,
    -- Events on the item that the embedding was learned from.
    event_count bigint NOT NULL
);
CREATE INDEX item_embeddings_by_likeness ON item_embeddings USING hnsw (embedding halfvec_cosine_ops);
