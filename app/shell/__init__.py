"""The commands that diagnose: locally or through a service, for people and for pipelines."""
