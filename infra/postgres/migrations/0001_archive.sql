-- Archive of interactions and items for analysts, written by the archive role.

CREATE TABLE interactions (
    event_id    text PRIMARY KEY,
    user_id     text NOT NULL,
    item_id     text,
    action      text NOT NULL,
    value       double precision,
    query       text,
    session_id  text,
    request_id  text,
    context     jsonb NOT NULL,
    occurred_at timestamptz NOT NULL,
    -- Position in Kafka.
    appended_at timestamptz NOT NULL,
    topic       text NOT NULL,
    partition   integer NOT NULL,
    "offset"    bigint NOT NULL
);
CREATE INDEX interactions_of_user ON interactions (user_id, occurred_at DESC);
CREATE INDEX interactions_with_item ON interactions (item_id, occurred_at DESC);
CREATE INDEX interactions_in_time ON interactions (occurred_at);

CREATE TABLE items (
    item_id     text PRIMARY KEY,
    category    text NOT NULL,
    title       text NOT NULL,
    description text NOT NULL,
    topics      text[] NOT NULL,
    source      text NOT NULL,
    url         text,
    image_url   text,
    city        text,
    cell        text,
    price       double precision,
    created_at  timestamptz NOT NULL,
    attributes  jsonb NOT NULL,
    -- Position of this version in Kafka: an older one never replaces it.
    appended_at timestamptz NOT NULL,
    topic       text NOT NULL,
    partition   integer NOT NULL,
    "offset"    bigint NOT NULL
);
CREATE INDEX items_of_category ON items (category, created_at DESC);
