"""The page on which a person talks, served on loopback: its files, the sign-in, and the way to the WebSocket API.

    origins   requests from other websites, refused
    grants    one-time codes, authorization codes and refresh tokens, in memory
    sign_in   OpenID Connect's code flow with PKCE, in front of this machine's issuer
    relay     WebSocket connections passed on to the emulator, with the subprotocol that it leaves out
    files     the built page, with the headers that CloudFront sends
    server    all of it behind one loopback address

    /                     the page             /settings.json   where things are
    /issuer/…             the sign-in          /socket          the WebSocket API

Each module imports only modules that stand above it here.
"""
