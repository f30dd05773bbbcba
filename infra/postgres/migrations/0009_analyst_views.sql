-- Ready queries for analysts. A click is the first of these actions of a user on an item within an hour of its
-- impression: click, like, inspired, save, share, purchase. Days and weeks are those of UTC.

-- Each item shown, with the feed that was served then, and the action that followed.
CREATE VIEW outcomes AS
SELECT shown.occurred_at, shown.user_id, shown.item_id, shown.position, shown.surface, shown.propensity,
       shown.request_id, shown.event_id, feed.model, feed.sources[array_position(feed.items, shown.item_id)] AS source,
       act.action, act.occurred_at AS acted_at, act.action IS NOT NULL AS is_click
FROM impressions shown
LEFT JOIN LATERAL (
    SELECT model, items, sources FROM feed_history
    WHERE user_id = shown.user_id AND generated_at <= shown.occurred_at
    ORDER BY generated_at DESC LIMIT 1
) feed ON true
LEFT JOIN LATERAL (
    SELECT action, occurred_at FROM interactions
    WHERE user_id = shown.user_id AND item_id = shown.item_id
      AND action IN ('click', 'like', 'inspired', 'save', 'share', 'purchase')
      AND occurred_at >= shown.occurred_at AND occurred_at < shown.occurred_at + interval '1 hour'
    ORDER BY occurred_at LIMIT 1
) act ON true;

CREATE VIEW clicks_by_source AS
SELECT coalesce(source, '') AS source, count(*) AS impressions, count(*) FILTER (WHERE is_click) AS clicks,
       avg(is_click::int)::double precision AS click_through_rate
FROM outcomes GROUP BY 1 ORDER BY clicks DESC, impressions DESC;

CREATE VIEW clicks_by_position AS
SELECT position, count(*) AS impressions, count(*) FILTER (WHERE is_click) AS clicks,
       avg(is_click::int)::double precision AS click_through_rate
FROM outcomes GROUP BY 1 ORDER BY 1;

CREATE VIEW clicks_by_surface AS
SELECT surface, count(*) AS impressions, count(*) FILTER (WHERE is_click) AS clicks,
       avg(is_click::int)::double precision AS click_through_rate
FROM outcomes GROUP BY 1 ORDER BY clicks DESC, impressions DESC;

CREATE VIEW clicks_by_model AS
SELECT coalesce(model, '') AS model, count(*) AS impressions, count(*) FILTER (WHERE is_click) AS clicks,
       avg(is_click::int)::double precision AS click_through_rate
FROM outcomes GROUP BY 1 ORDER BY clicks DESC, impressions DESC;

CREATE VIEW clicks_by_day AS
SELECT (occurred_at AT TIME ZONE 'UTC')::date AS day, count(*) AS impressions, count(*) FILTER (WHERE is_click) AS clicks,
       avg(is_click::int)::double precision AS click_through_rate, count(DISTINCT user_id) AS users
FROM outcomes GROUP BY 1 ORDER BY 1;

CREATE VIEW clicks_by_item AS
SELECT item_id, items.title, items.category, count(*) AS impressions, count(*) FILTER (WHERE is_click) AS clicks,
       avg(is_click::int)::double precision AS click_through_rate
FROM outcomes LEFT JOIN items USING (item_id) GROUP BY 1, 2, 3 ORDER BY clicks DESC, impressions DESC;

-- Of the users whose first interaction was in a week, those who came back in each week after it.
CREATE VIEW retention_by_week AS
WITH active AS (
    SELECT DISTINCT user_id, date_trunc('week', occurred_at AT TIME ZONE 'UTC')::date AS week FROM interactions
), cohort AS (
    SELECT user_id, min(week) AS first_week FROM active GROUP BY 1
), sizes AS (
    SELECT first_week, count(*) AS users FROM cohort GROUP BY 1
)
SELECT first_week, (active.week - first_week) / 7 AS weeks_later, count(*) AS returning_users, sizes.users AS cohort_users,
       count(*)::double precision / sizes.users AS retention
FROM active JOIN cohort USING (user_id) JOIN sizes USING (first_week) GROUP BY 1, 2, 4 ORDER BY 1, 2;

-- The share of the listed catalogue of today that was shown to anyone on a day.
CREATE VIEW coverage_by_day AS
SELECT (occurred_at AT TIME ZONE 'UTC')::date AS day, count(DISTINCT item_id) AS items_shown, listed.items AS items_listed,
       count(DISTINCT item_id)::double precision / nullif(listed.items, 0) AS coverage
FROM impressions JOIN items USING (item_id) CROSS JOIN (SELECT count(*) AS items FROM items WHERE NOT private) listed
WHERE NOT private GROUP BY 1, 3 ORDER BY 1;

-- The mean self-information of the items shown, in bits: -log2 of the share of users who acted on the item, so far.
CREATE VIEW novelty_by_day AS
WITH popularity AS (
    SELECT item_id, count(DISTINCT user_id) AS users FROM interactions WHERE item_id IS NOT NULL GROUP BY 1
), everyone AS (
    SELECT count(DISTINCT user_id) AS users FROM interactions
)
SELECT (occurred_at AT TIME ZONE 'UTC')::date AS day, count(*) AS impressions,
       avg(-log(2, greatest(coalesce(popularity.users, 0), 1)::numeric / everyone.users))::double precision AS novelty_bits
FROM impressions LEFT JOIN popularity USING (item_id) CROSS JOIN everyone WHERE everyone.users > 0 GROUP BY 1 ORDER BY 1;

-- From the append of a user's event to the ranking of the first feed that reflects it. The version of features is the
-- append time in ms of the event that changed them last.
CREATE VIEW latency_by_day AS
WITH first_feed AS (
    SELECT user_id, features_version, min(generated_at) AS generated_at FROM feed_history GROUP BY 1, 2
), latency AS (
    SELECT generated_at, extract(epoch FROM generated_at) * 1000 - features_version AS ms FROM first_feed
)
SELECT (generated_at AT TIME ZONE 'UTC')::date AS day, count(*) AS feeds,
       (percentile_cont(0.5) WITHIN GROUP (ORDER BY ms)) AS p50_ms, (percentile_cont(0.95) WITHIN GROUP (ORDER BY ms)) AS p95_ms,
       (percentile_cont(0.99) WITHIN GROUP (ORDER BY ms)) AS p99_ms, max(ms)::double precision AS max_ms
FROM latency GROUP BY 1 ORDER BY 1;
