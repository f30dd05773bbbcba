-- Which items anybody may be shown, whether they can be had, and where they are by the gazetteer.

ALTER TABLE items
    -- Fetched for single users, who alone may be shown it.
    ADD COLUMN private  boolean NOT NULL DEFAULT false,
    ADD COLUMN sold_out boolean NOT NULL DEFAULT false;
UPDATE items SET sold_out = true WHERE stock <= 0;

-- Whether latitude and longitude are those of a cell, and not of the centre of a city.
ALTER TABLE catalogue ADD COLUMN is_exact boolean NOT NULL DEFAULT false;

-- Cities have a place from here on, and one key in all languages: all are made anew.
UPDATE catalogue SET "offset" = -1;
