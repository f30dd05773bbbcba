-- History of feeds and impressions, in partitions by month (UTC) that the archive role creates and drops.

CREATE TABLE feed_history (
    generated_at     timestamptz NOT NULL,
    user_id          text NOT NULL,
    features_version bigint NOT NULL,
    model            text NOT NULL,
    -- All items of the feed with the feature group behind each, for joins.
    items            text[] NOT NULL,
    sources          text[] NOT NULL,
    -- The whole feed, encoded as in Redis.
    feed             bytea NOT NULL,
    -- Position in Kafka.
    appended_at      timestamptz NOT NULL,
    topic            text NOT NULL,
    partition        integer NOT NULL,
    "offset"         bigint NOT NULL,
    PRIMARY KEY (user_id, generated_at, features_version)
) PARTITION BY RANGE (generated_at);

-- One row for each item shown.
CREATE TABLE impressions (
    occurred_at timestamptz NOT NULL,
    user_id     text NOT NULL,
    event_id    text NOT NULL,
    number      integer NOT NULL,
    item_id     text NOT NULL,
    position    integer NOT NULL,
    propensity  double precision,
    surface     text NOT NULL,
    request_id  text,
    appended_at timestamptz NOT NULL,
    topic       text NOT NULL,
    partition   integer NOT NULL,
    "offset"    bigint NOT NULL,
    PRIMARY KEY (user_id, event_id, number, occurred_at)
) PARTITION BY RANGE (occurred_at);
CREATE INDEX impressions_with_item ON impressions (item_id, occurred_at);
CREATE INDEX impressions_in_time ON impressions (occurred_at);
