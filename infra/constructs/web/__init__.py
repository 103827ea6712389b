"""The page to talk on: its files at CloudFront, sign-in, and the settings file that the service stack writes."""
