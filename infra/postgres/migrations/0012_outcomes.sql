-- Outcomes: each item shown, with what the user did with it, in partitions by month (UTC) that the archive role creates and
-- drops. The table takes the place of the view of that name, and of its name in the views of clicks.

DROP VIEW clicks_by_source, clicks_by_position, clicks_by_surface, clicks_by_model, clicks_by_day, clicks_by_item;
DROP VIEW outcomes;

CREATE TABLE outcomes (
    shown_at         timestamptz NOT NULL,
    user_id          text NOT NULL,
    outcome_id       text NOT NULL,
    request_id       text,
    item_id          text NOT NULL,
    place            integer NOT NULL,
    surface          text NOT NULL,
    source           text NOT NULL,
    category         text NOT NULL,
    model            text NOT NULL,
    policy           text NOT NULL,
    propensity       double precision,
    -- Arm by experiment.
    arms             jsonb NOT NULL,
    features_version bigint NOT NULL,
    closed_at        timestamptz NOT NULL,
    clicks           integer NOT NULL,
    likes            integer NOT NULL,
    dislikes         integer NOT NULL,
    skips            integer NOT NULL,
    conversions      integer NOT NULL,
    dwell_ms         bigint NOT NULL,
    is_reported      boolean NOT NULL,
    -- Position in Kafka of the newest record of the outcome.
    appended_at      timestamptz NOT NULL,
    topic            text NOT NULL,
    partition        integer NOT NULL,
    "offset"         bigint NOT NULL,
    PRIMARY KEY (user_id, outcome_id, shown_at)
) PARTITION BY RANGE (shown_at);
CREATE INDEX outcomes_with_item ON outcomes (item_id, shown_at);
CREATE INDEX outcomes_in_time ON outcomes (shown_at);

CREATE VIEW clicks_by_source AS
SELECT source, count(*) AS impressions, count(*) FILTER (WHERE clicks > 0) AS clicks,
       avg((clicks > 0)::int)::double precision AS click_through_rate
FROM outcomes GROUP BY 1 ORDER BY clicks DESC, impressions DESC;

CREATE VIEW clicks_by_position AS
SELECT place AS position, count(*) AS impressions, count(*) FILTER (WHERE clicks > 0) AS clicks,
       avg((clicks > 0)::int)::double precision AS click_through_rate
FROM outcomes GROUP BY 1 ORDER BY 1;

CREATE VIEW clicks_by_surface AS
SELECT surface, count(*) AS impressions, count(*) FILTER (WHERE clicks > 0) AS clicks,
       avg((clicks > 0)::int)::double precision AS click_through_rate
FROM outcomes GROUP BY 1 ORDER BY clicks DESC, impressions DESC;

CREATE VIEW clicks_by_model AS
SELECT model, count(*) AS impressions, count(*) FILTER (WHERE clicks > 0) AS clicks,
       avg((clicks > 0)::int)::double precision AS click_through_rate
FROM outcomes GROUP BY 1 ORDER BY clicks DESC, impressions DESC;

CREATE VIEW clicks_by_category AS
SELECT category, count(*) AS impressions, count(*) FILTER (WHERE clicks > 0) AS clicks,
       avg((clicks > 0)::int)::double precision AS click_through_rate
FROM outcomes GROUP BY 1 ORDER BY clicks DESC, impressions DESC;

CREATE VIEW clicks_by_arm AS
SELECT experiment.key AS experiment_id, experiment.value AS arm, count(*) AS impressions,
       count(*) FILTER (WHERE clicks > 0) AS clicks, avg((clicks > 0)::int)::double precision AS click_through_rate,
       count(DISTINCT user_id) AS users
FROM outcomes, jsonb_each_text(arms) AS experiment GROUP BY 1, 2 ORDER BY 1, 2;

CREATE VIEW clicks_by_day AS
SELECT (shown_at AT TIME ZONE 'UTC')::date AS day, count(*) AS impressions, count(*) FILTER (WHERE clicks > 0) AS clicks,
       avg((clicks > 0)::int)::double precision AS click_through_rate, count(DISTINCT user_id) AS users
FROM outcomes GROUP BY 1 ORDER BY 1;

CREATE VIEW clicks_by_item AS
SELECT item_id, items.title, items.category, count(*) AS impressions, count(*) FILTER (WHERE clicks > 0) AS clicks,
       avg((clicks > 0)::int)::double precision AS click_through_rate
FROM outcomes LEFT JOIN items USING (item_id) GROUP BY 1, 2, 3 ORDER BY clicks DESC, impressions DESC;
