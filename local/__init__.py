"""The same stack on one machine: emulator, worker supervisor and terminal client.

``python -m local --help`` lists the commands. What the emulator does differently from AWS is worked around in this
package or in the configuration of the ``local`` stage, never in the code that is deployed.

    processes/    children that never outlive this process
    fakes/        the model providers' protocols, offline
    deployment/   emulator, issuer, CDK, what was deployed
    page/         the page for browsers, its sign-in, its way to the WebSocket API
    workers/      worker processes, kept up as ECS would
    terminal/     lines in, transcript out, the chat
    developing/   mistakes found early, packages added, edits deployed at each save
    stack/        all of it together, and how other terminals reach it
    demo/         one call through redeployments and kills, every frame accounted for
    settings      paths and counts of the local stack
    errors        failures that a person can act on, printed as one line
    progress      steps of long actions, drawn or as JSON lines
    timeouts      time-outs that grow with a slow machine
    audit         advisories about all that is locked
    developer_commands    the commands of a person who writes an agent
    cli           the commands

Everything written lives in ``.segue/`` beside the sources:

    .segue/
      state/          what the emulator keeps over a clean stop: tables, objects, queues, deployed functions
      logs/           emulator.log, worker-<id>.log, and the full output of every cdk command
      cdk.out/        the synthesized templates and assets of the last deployment
      assemblies/     the same, kept for the next deployment of the same sources
      outputs.json    the stacks' outputs
      run.json        where the running supervisor is found (present while it runs)
      lock            locked by the one supervisor that may run
      tmp/            temporary files of the emulator and its functions, if there is no faster place

Of the checkout, whatever stack runs:

    .segue/
      unpacked/       code and layers of functions
      checked         sources and settings in which the check of agent.py found no mistake
"""
