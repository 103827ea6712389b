"""Former room of the offline models.

    text  ``RehearsalTextModel``, which is ``segue.testing.OfflineTextModel`` now

An agent that was written for it still imports from here.
"""
