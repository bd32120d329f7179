"""`python -m clary.agent FOLDER`; also to be run by its path, by an interpreter that knows nothing of the package."""

import sys

if not __package__:
    sys.path[0] = __file__.rsplit("/clary/agent/", 1)[0]

from clary.agent.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
