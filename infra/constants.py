"""Facts about this repository and its runtime that are no one's to configure."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
FUNCTIONS: Final = ROOT / "functions"
SESSION_LAYER: Final = ROOT / "layers" / "session"
LAYER_LOCK: Final = ROOT / "requirements" / "layer.txt"
WORKER_DOCKERFILE: Final = "functions/worker/Dockerfile"

PYTHON_VERSION: Final = "3.13"
WORKER_PORT: Final = 8080
SESSION_PREFIX: Final = "sessions/"
"""Where the library puts sessions in the bucket."""

METRIC_NAMESPACE: Final = "Segue"
SESSIONS_PER_TASK: Final = "SessionsPerTask"
"""The metric by which the service grows: each worker says how many sessions it holds, and the average counts."""
WORKER_METRIC_SERVICE: Final = "segue-worker"
"""The value of the metric dimension `service` of what workers say; the dimension `stage` is the deployment's."""
