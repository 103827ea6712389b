"""The page to talk on: its files at CloudFront, sign-in, and the settings file that the service stack writes.

    built          the page, as ``make web`` builds it
    headers        what the page's scripts may load and call
    files          the bucket, and CloudFront before it
    sign_in        Cognito's managed login
    settings_file  ``settings.json``: what the page learns from a deployment

Each module imports only modules that stand above it here.
"""
