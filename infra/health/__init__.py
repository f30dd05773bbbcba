"""Health of servers, roles and the whole pipeline."""
