"""Runs encoder models fast, in the user's environment (torch and transformers); nothing of Clary above or beside it."""
