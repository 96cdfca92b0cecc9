"""The worker: takes a job, runs it in the sandbox, settles it."""
