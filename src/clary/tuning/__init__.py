"""Tuning: what to run next, when to stop a job, when a study is done."""
