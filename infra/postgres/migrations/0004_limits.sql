-- Texts may have 1,024 characters, which is up to 4,096 bytes, but the maximum size of a B-tree entry is 2,704 bytes. So
-- only the prefix of such a text is indexed: queries compare the prefix first, then the whole text.

DROP INDEX items_of_kind;
CREATE INDEX items_of_kind ON items (left(kind, 256), category);

DROP INDEX catalogue_by_identity;
CREATE INDEX catalogue_by_identity ON catalogue (category, left(title_key, 256));

DROP INDEX catalogue_by_city;
CREATE INDEX catalogue_by_city ON catalogue (left(city_key, 256), category);

-- Event ids are unique per user only: clients that count their events from 1 use the same ids.
ALTER TABLE interactions DROP CONSTRAINT interactions_pkey, ADD PRIMARY KEY (user_id, event_id);
