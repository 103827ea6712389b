"""The way from a client to the agent and back, on the local deployment."""
