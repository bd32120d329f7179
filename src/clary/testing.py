"""For tests of Clary and of programs that use it: fake runner, stepped clock, server fixture, contracts."""
