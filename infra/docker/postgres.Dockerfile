# PostgreSQL with PostGIS for locations and pgvector for embeddings: no official image contains both.
FROM postgis/postgis:17-3.5
# The version follows the package source of the base image.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-17-pgvector \
    && rm -rf /var/lib/apt/lists/*
