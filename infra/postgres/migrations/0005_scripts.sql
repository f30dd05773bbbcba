-- Texts are folded, and scripts without spaces are segmented, before indexing: all documents are rebuilt. The words of
-- texts with spaces are stored as well, to count their frequencies for spelling correction.

ALTER TABLE catalogue ADD COLUMN words text NOT NULL DEFAULT '';
UPDATE catalogue SET "offset" = -1;
