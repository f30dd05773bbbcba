-- A partition is marked before it is written and complete after it, so that data lost in between is noticed.

ALTER TABLE projected ADD COLUMN is_complete boolean NOT NULL DEFAULT true;
