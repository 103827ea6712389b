"""Worker processes, kept up as an ECS service keeps its tasks.

    debugger         a worker under a debugger: the program that runs then
    worker_process   one worker, started from the deployed task definition
    error_lines      a worker's errors, for the terminal
    text_log         what the text function logs, and its errors for the terminal
    balancer         spreads clients' connections over workers, where clients reach these directly
    supervisor       as many workers as wanted; replaces crashed ones, and all of them on a deployment

Each module imports only modules that stand above it here.
"""
