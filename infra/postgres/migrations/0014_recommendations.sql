-- The present recommendations of every user as rows, with the scores that the API answers.

-- Scores of the first order of the feed: of the first of `items`, which also holds those of later orders. The scores
-- without and of the language model are empty where it did not contribute; feeds from before have none.
ALTER TABLE feed_history
    ADD COLUMN scores real[] NOT NULL DEFAULT '{}',
    ADD COLUMN ml_scores real[] NOT NULL DEFAULT '{}',
    ADD COLUMN llm_scores real[] NOT NULL DEFAULT '{}';

CREATE VIEW recommendations AS
WITH newest AS (
    SELECT DISTINCT ON (user_id) user_id, items, sources, scores, ml_scores, llm_scores, model, generated_at
    FROM feed_history ORDER BY user_id, features_version DESC, generated_at DESC
), scored AS (
    SELECT user_id, content_id, place, source, model, generated_at, llm_score,
           coalesce(ml_score, CASE WHEN max(score) OVER feed > min(score) OVER feed
               THEN (score - min(score) OVER feed) / (max(score) OVER feed - min(score) OVER feed) ELSE 0.5 END) AS ml_score,
           CASE WHEN ml_score IS NOT NULL THEN score END AS blended_score
    FROM newest, unnest(items, sources, scores, ml_scores, llm_scores)
        WITH ORDINALITY AS entry (content_id, source, score, ml_score, llm_score, place)
    WHERE score IS NOT NULL
    WINDOW feed AS (PARTITION BY user_id)
)
SELECT user_id, place AS rank, content_id, title, category, ml_score::double precision AS ml_score,
       llm_score::double precision AS llm_score, coalesce(blended_score, ml_score)::double precision AS combined_score,
       scored.source, model, generated_at
FROM scored LEFT JOIN items ON item_id = content_id;
