"""Runs beside the user's program, in whatever environment that has: standard library only, nothing of Clary above."""
