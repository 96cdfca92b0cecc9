"""The life of a job, from accepted to removed. Knows the database and the queue; not HTTP, not models."""
