"""The process's AWS credentials.

the environment    Lambda puts a role's there, and leaves them as they are while the process lives
all else           as botocore finds and renews them: profiles, containers, instances
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from shared.aws.signing import AwsKeys

if TYPE_CHECKING:
    from botocore.credentials import Credentials

ACCESS_KEY, SECRET_KEY, TOKEN = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"


class ProcessKeys:
    """Credentials of this process, found when they are first asked for."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """Ask for nothing yet.

        Args:
            environ: The process's environment.
        """
        self._environ = environ
        self._found: Credentials | None = None

    def __call__(self) -> AwsKeys:
        """Return credentials that hold for some minutes.

        Raises:
            LookupError: There are none.
        """
        access_key, secret_key = self._environ.get(ACCESS_KEY), self._environ.get(SECRET_KEY)
        if access_key and secret_key:
            return AwsKeys(access_key, secret_key, self._environ.get(TOKEN) or None)
        frozen = self._renewed().get_frozen_credentials()
        return AwsKeys(frozen.access_key or "", frozen.secret_key or "", frozen.token or None)

    def _renewed(self) -> Credentials:
        """Credentials as botocore finds them, once; it renews what ends."""
        if self._found is None:
            from botocore.session import get_session  # a cold start of a function never comes here

            self._found = get_session().get_credentials()
        if self._found is None:
            raise LookupError("no AWS credentials found: give the function a role, or set AWS_ACCESS_KEY_ID")
        return self._found
