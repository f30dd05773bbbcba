-- Visibility of items, their availability, and their location by the gazetteer.

ALTER TABLE items
    -- Fetched for single users and visible to them only.
    ADD COLUMN private  boolean NOT NULL DEFAULT false,
    ADD COLUMN sold_out boolean NOT NULL DEFAULT false;
UPDATE items SET sold_out = true WHERE stock <= 0;

-- Whether latitude and longitude come from a cell, not from the center of a city.
ALTER TABLE catalogue ADD COLUMN is_exact boolean NOT NULL DEFAULT false;

-- From here on cities have a location, and one key in all languages: all rows are rebuilt.
UPDATE catalogue SET "offset" = -1;
