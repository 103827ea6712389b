"""What can be seen of a deployment: a dashboard, and alarms on what should never be."""

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.config import Config
from infra.constructs.claims import Claims
from infra.constructs.janitor import Janitor
from infra.constructs.stopped import Stopped
from infra.constructs.turns import Turns

MINUTE = Duration.minutes(1)


class Monitoring(Construct):
    """Dashboard and alarms."""

    def __init__(self, scope: Construct, construct_id: str, config: Config) -> None:
        super().__init__(scope, construct_id)
        self._config = config
        self.dashboard = cloudwatch.Dashboard(self, "Dashboard", dashboard_name=f"segue-{config.stage}")

    def watch_claims(self, claims: Claims) -> None:
        """Show how long sessions wait for a worker; an alarm on those that never got one."""
        dead = self._never_any(
            "DeadLettersAlarm",
            claims.dead_letters,
            "A session's claim was received five times and no worker could serve it.",
        )
        age = claims.queue.metric_approximate_age_of_oldest_message(period=MINUTE, statistic="Maximum")
        self._graph("Claims waiting", [age, dead])

    def watch_workers(self, service: ecs.FargateService) -> None:
        """Show how busy the workers are; an alarm on fewer than there should be."""
        # Each running task reports its CPU once a minute: the number of reports is the number of tasks.
        running = service.metric_cpu_utilization(period=MINUTE, statistic="SampleCount")
        cloudwatch.Alarm(
            self,
            "WorkersAlarm",
            alarm_description="Fewer worker tasks run than the service should have.",
            metric=running,
            threshold=self._config.worker_count,
            evaluation_periods=5,
            datapoints_to_alarm=3,
            comparison_operator=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.BREACHING,
        )
        self._graph("Worker tasks", [running])
        self._graph(
            "Worker load",
            [service.metric_cpu_utilization(period=MINUTE), service.metric_memory_utilization(period=MINUTE)],
        )

    def watch_stopped(self, stopped: Stopped) -> None:
        """An alarm on sessions that could not be offered after their task had stopped."""
        self._never_any(
            "StoppedFailuresAlarm", stopped.failures, "A task stopped and its sessions could not be offered to others."
        )

    def watch_gateway(self, api: apigateway.WebSocketApi, functions: Mapping[str, lambda_.Function]) -> None:
        """Show how much passes through the gateway, and what fails in it."""
        names = ("ConnectCount", "MessageCount", "IntegrationError", "ClientError", "ExecutionError")
        self._graph("Gateway", [api.metric(name, period=MINUTE, statistic="Sum") for name in names])
        self._graph("Functions: errors", [each.metric_errors(period=MINUTE) for each in functions.values()])
        self._graph(
            "Functions: duration, slowest in a hundred",
            [each.metric_duration(period=MINUTE, statistic="p99") for each in functions.values()],
        )

    def watch_turns(self, turns: Turns) -> None:
        """Show how long text waits for its turn; an alarm on turns that were given up."""
        dead = self._never_any(
            "TurnDeadLettersAlarm", turns.dead_letters, "A text was tried five times and was not answered."
        )
        age = turns.queue.metric_approximate_age_of_oldest_message(period=MINUTE, statistic="Maximum")
        self._graph("Text waiting", [age, dead])
        self._graph("Text turns: duration", [turns.function.metric_duration(period=MINUTE, statistic="p99")])
        self._graph(
            "Text turns: errors and throttles",
            [turns.function.metric_errors(period=MINUTE), turns.function.metric_throttles(period=MINUTE)],
        )

    def watch_janitor(self, janitor: Janitor) -> None:
        """Show what is left undeleted; an alarm on what the janitor gave up."""
        reasons = {
            "ended": "Changes of the lock table could not be handled; the weekly sweep deletes what ended.",
            "sweeps": "An ended session's objects could not be deleted in five attempts: see the log of `again`.",
            "weekly": "The weekly sweep failed five times: see the log of `weekly`, then put the message back.",
        }
        dead = [
            self._never_any(f"{name.capitalize()}FailuresAlarm", queue, reasons[name])
            for name, queue in janitor.failures.items()
        ]
        behind = janitor.functions["ended"].metric("IteratorAge", period=MINUTE, statistic="Maximum")
        self._graph("Janitor: given up", dead)
        self._graph("Janitor: behind the stream", [behind])
        self._graph("Janitor: errors", [each.metric_errors(period=MINUTE) for each in janitor.functions.values()])

    def _never_any(self, construct_id: str, queue: sqs.Queue, description: str) -> cloudwatch.Metric:
        """An alarm as soon as there is a message in a queue of failures; returns their number."""
        waiting = queue.metric_approximate_number_of_messages_visible(period=MINUTE, statistic="Maximum")
        cloudwatch.Alarm(
            self,
            construct_id,
            alarm_description=description,
            metric=waiting,
            threshold=1,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        return waiting

    def _graph(self, title: str, metrics: list[cloudwatch.Metric]) -> None:
        self.dashboard.add_widgets(cloudwatch.GraphWidget(title=title, left=list(metrics), width=12))
