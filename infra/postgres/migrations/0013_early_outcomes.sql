-- Early outcomes: the items shown in experiments, with what users did within seconds, in partitions by month (UTC). The
-- guardrails of experiments are judged by them; `outcomes` holds what is known in the end.

CREATE TABLE early_outcomes (
    shown_at    timestamptz NOT NULL,
    user_id     text NOT NULL,
    outcome_id  text NOT NULL,
    item_id     text NOT NULL,
    place       integer NOT NULL,
    category    text NOT NULL,
    -- Arm by experiment.
    arms        jsonb NOT NULL,
    clicks      integer NOT NULL,
    dislikes    integer NOT NULL,
    skips       integer NOT NULL,
    conversions integer NOT NULL,
    dwell_ms    bigint NOT NULL,
    -- Position in Kafka of the newest record of the outcome.
    appended_at timestamptz NOT NULL,
    topic       text NOT NULL,
    partition   integer NOT NULL,
    "offset"    bigint NOT NULL,
    PRIMARY KEY (user_id, outcome_id, shown_at)
) PARTITION BY RANGE (shown_at);
CREATE INDEX early_outcomes_in_time ON early_outcomes (shown_at);
