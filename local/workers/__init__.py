"""Worker processes, kept up as an ECS service keeps its tasks.

    worker_process   one worker, started from the deployed task definition
    supervisor       as many workers as wanted; replaces crashed ones, and all of them on a deployment

Each module imports only modules that stand above it here.
"""
