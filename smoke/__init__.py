"""Smoke: a client that plays a whole story against a deployment and reports what came.

report       a line of the report: what was expected, what came, the page that explains a difference
wire         a bare WebSocket, for what ``segue.client`` hides
call         a caller on ``segue.client`` who types and speaks
speech       the sound of a question
handshakes, frames, turns, connections, redeploy
             the steps of the story
stack        the deployment's resources, for those who have credentials
story        the steps in order
"""
