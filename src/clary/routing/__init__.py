"""The way of an invocation: which instance is asked, the exchange with it, and what is noted of it."""
