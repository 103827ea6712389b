"""Time that storage itself takes for a restore: the same reads, by an HTTP client that does nothing else.

A restore cannot be faster than the first read, which says what there is, and then all others at once. An endpoint that
works on one core answers them one after the other, and that shows here, too.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import urllib3
from botocore.awsrequest import AWSPreparedRequest


def read(reads: Sequence[AWSPreparedRequest], delay_s: float, times: int) -> float:
    """Return how long it takes to send requests again, in ms: the median of some times.

    Args:
        reads: The first is sent alone, the others at once.
        delay_s: Seconds added to each.
        times: How often.
    """
    with urllib3.PoolManager(maxsize=len(reads)) as http, ThreadPoolExecutor(len(reads)) as threads:

        def send(request: AWSPreparedRequest) -> None:
            time.sleep(delay_s)
            body = cast("bytes | None", request.body)  # as botocore has made it for a read
            http.request(request.method, request.url, body=body, headers=dict(request.headers))

        def all_of_them() -> float:
            start = time.perf_counter()
            send(reads[0])
            list(threads.map(send, reads[1:]))
            return (time.perf_counter() - start) * 1e3

        all_of_them()  # makes the connections
        return statistics.median(all_of_them() for _ in range(times))
