# PostgreSQL with PostGIS for places and pgvector for embeddings: no official image holds both.
FROM postgis/postgis:17-3.5
# The version follows the base image's own package source.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-17-pgvector \
    && rm -rf /var/lib/apt/lists/*
