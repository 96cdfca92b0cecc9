"""The files of diagnoses: uploads, reports, repaired models."""
