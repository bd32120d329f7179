"""Tuning: what to run next, when to stop a job, when a study is done, and what was learned. Pure.

Forbidden in this room: files, sockets and subprocesses; the clock; threads; the environment; global state; drawing
from any source of chance but the `numpy.random.Generator` that the caller hands over; every import of `clary` other
than this room and `clary.errors`. Nothing here knows a store, a job or a request. numpy and scipy.special are all it
computes with.

    space       ranges as SageMaker states them, and their picture in the unit cube
    strategy    Observation, Proposal, the Strategy protocol and its laws, plug-ins
    random, grid, bayesian, hyperband     the strategies
    kernel, sampling, gp, targets, acquisition     what bayesian is made of, in the order of the data's way
    belief      what the model believes, for people to read
    forecast    what a child that was cut short would have come to;  curves  the same, simpler, for hyperband
    prospects   which children a bayesian study stops: those whose rest is not worth its time
    stopping    the median rule;  completion  when a study is done;  warmstart  parents and what they tell
"""
