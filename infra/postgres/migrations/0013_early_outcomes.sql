-- Early outcomes: the items shown in experiments, with what users did within seconds, in partitions by month (UTC). The
-- guardrails of experiments are judged by them; `outcomes` holds what is known in the end.

CREATE TABLE early_outcomes (
    LIKE outcomes,
    PRIMARY KEY (user_id, outcome_id, shown_at)
) PARTITION BY RANGE (shown_at);
CREATE INDEX early_outcomes_in_time ON early_outcomes (shown_at);
