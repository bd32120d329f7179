"""Launch, watch and stop a job's agent: on this machine, and later on a cluster."""
