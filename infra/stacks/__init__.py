"""The stacks. They only compose constructs.

    data     what outlives every deployment: bucket, tables, user pool
    web      the page
    service  everything that can be made again over the same data

Each module imports only modules that stand above it here.
"""
