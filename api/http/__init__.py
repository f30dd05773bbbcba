"""HTTP: connections, requests, bodies, queries, responses, errors."""
