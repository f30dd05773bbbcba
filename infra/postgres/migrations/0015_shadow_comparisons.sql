-- Comparisons of the lists of shadow experiments with the lists shown, in partitions by month (UTC) that the archive role creates and
-- drops. The version of the features is part of the key and does not change when a ranking is repeated after a crash.

CREATE TABLE shadow_comparisons (
    -- Time of the event that changed the features last: their version.
    changed_at          timestamptz NOT NULL,
    user_id             text NOT NULL,
    experiment_id       text NOT NULL,
    arm                 text NOT NULL,
    features_version    bigint NOT NULL,
    compared_at         timestamptz NOT NULL,
    overlap             double precision NOT NULL,
    rank_biased_overlap double precision NOT NULL,
    is_first_changed    boolean NOT NULL,
    score_difference    double precision NOT NULL,
    items               text[] NOT NULL,
    policy              text NOT NULL,
    -- Numbers of items among the first ten.
    shown_sources       jsonb NOT NULL,
    sources             jsonb NOT NULL,
    shown_categories    jsonb NOT NULL,
    categories          jsonb NOT NULL,
    shown_ranking_ms    double precision NOT NULL,
    ranking_ms          double precision NOT NULL,
    -- Position in Kafka of the first record of the comparison.
    appended_at         timestamptz NOT NULL,
    topic               text NOT NULL,
    partition           integer NOT NULL,
    "offset"            bigint NOT NULL,
    PRIMARY KEY (user_id, experiment_id, arm, features_version, changed_at)
) PARTITION BY RANGE (changed_at);
CREATE INDEX shadow_comparisons_of_experiment ON shadow_comparisons (experiment_id);
