"""Make it so: claim what is due, act, apply. One pure step(now) each."""
