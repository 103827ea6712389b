"""Observability of a deployment: a dashboard, alarms with a runbook each, and saved queries of the logs.

    watched           resources and their metrics
    queries           saved queries of the logs
    alarms            alarms, and who is told of them
    costs             cost at the present load, by metric math
    alarm_conditions  conditions that page, and their thresholds
    dashboard         four questions, in the order in which a person on call asks them

Each module imports only modules that stand above it here.
"""

from __future__ import annotations

from constructs import Construct

from infra.config import Config
from infra.constructs.monitoring.alarm_conditions import alarm_conditions
from infra.constructs.monitoring.alarms import Alarms
from infra.constructs.monitoring.dashboard import dashboard
from infra.constructs.monitoring.queries import save_queries
from infra.constructs.monitoring.watched import Watched


class Monitoring(Construct):
    """Dashboard, alarms, queries.

    Attributes:
        alarms: Who is told of what.
    """

    def __init__(self, scope: Construct, construct_id: str, config: Config, watched: Watched) -> None:
        super().__init__(scope, construct_id)
        self.alarms = Alarms(self, "Alarms", config)
        for condition in alarm_conditions(config, watched):
            self.alarms.add(condition)
        self.alarms.finish()
        dashboard(self, config, watched)
        if config.target.saved_monitoring:
            save_queries(self, config)
