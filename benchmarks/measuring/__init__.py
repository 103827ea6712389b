"""Meters, figures, prices and targets that every benchmark uses.

    endpoint  an emulator of the run's own
    metering  requests, delayed and counted
    memory    memory of this process
    stalls    stalls of an event loop
    figures   figures of a run, as JSON
    prices    prices of requests on AWS
    lag       lateness of another process's event loop
    targets   targets, and the verdict on each

Each module imports only modules that stand above it here.
"""
