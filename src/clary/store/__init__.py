"""Resources, their queue and their metric series, in SQLite or PostgreSQL."""
