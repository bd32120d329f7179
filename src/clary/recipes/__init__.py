"""Ready programs for the NLP tasks, written as a user would write them; they run in the job's environment."""
