"""The stack as it is deployed to the local AWS.

    unpacked          code and layers of functions, unpacked once
    emulator_program  MiniStack's program, closed to websites; run by its own Python
    empty_emulator    MiniStack with its state in memory, for benchmarks and tests
    emulator          MiniStack as a child process, with its state kept
    issuer            this machine's issuer of tokens
    assemblies        cloud assemblies, kept as long as no source changes
    outputs           stack outputs and the worker's task definition, read back from the emulator
    bootstrap         the CDK's bootstrap of the emulator's account
    cdk               ``cdk synth`` and ``cdk deploy`` against the emulator
    sources           the sources as they were deployed, and what has changed since
    text_function     the text function's code, replaced without a deployment of its stack, and its log

Each module imports only modules that stand above it here.
"""
