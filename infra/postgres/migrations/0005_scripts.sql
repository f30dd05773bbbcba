-- Texts are folded, and scripts without spaces taken apart, before they are indexed: all documents are made anew. What is
-- written with spaces is kept as well: the words that can be misspelt are counted by it.

ALTER TABLE catalogue ADD COLUMN words text NOT NULL DEFAULT '';
UPDATE catalogue SET "offset" = -1;
