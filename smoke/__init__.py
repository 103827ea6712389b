"""Smoke: a client that plays a whole story against a deployment and reports what came.

    background   work that goes on while a block runs
    speech       the sound of a question
    report       a line of the report: what was expected, what came, the page that explains a difference
    stack        the deployment's resources, for those who have credentials
    wire         a bare WebSocket, for what ``segue.client`` hides
    call         a caller on ``segue.client`` who types and speaks
    visit        where the deployment is, who comes, and what is learnt on the way
    handshakes   step: with and without a token
    frames       step: frames on a bare WebSocket
    turns        step: typed, spoken, and spoken over
    connections  step: coming back, and a long pause
    redeploy     step: a redeployment in the middle of a call
    story        the steps in order

Each module imports only modules that stand above it here.
"""
