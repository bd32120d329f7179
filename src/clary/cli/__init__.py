"""The command line: a client of the public API like any other, plus the commands that start and stop a server."""
