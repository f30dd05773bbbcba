"""PostgreSQL: the connection pool, the migrations, and queries over the catalog."""
