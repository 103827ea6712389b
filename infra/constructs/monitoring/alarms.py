"""Alarms, and who is told of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from aws_cdk import Aws, CfnCondition, CfnResource, Fn, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct, IDependable

from infra.config import Config
from infra.constants import DOCS
from infra.constructs.monitoring.watched import MINUTE

COMPOSITE = "callers-are-affected"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmCondition:
    """A condition that should not hold.

    Attributes:
        name: Of the alarm, after ``segue-<stage>-``, and of its runbook.
        what: One sentence for the person on call.
        metric: One that the code or AWS tells.
        threshold: From here on something is wrong; with ``fewer``: below it.
        minutes: For how long, out of as many.
        callers: Whether callers notice.
        fewer: Whether too little is wrong, and nothing at all too.
        region: The only region whose CloudWatch has the metric; None: each deployment's own.
        after: Without it too little is no fault, so the alarm is made after it.
    """

    name: str
    what: str
    metric: cloudwatch.Metric
    threshold: float
    minutes: int = 1
    callers: bool = False
    fewer: bool = False
    region: str | None = None
    after: IDependable | None = None


def described(config: Config, name: str, what: str, minutes: int | None = None) -> str:
    """An alarm's description: what is wrong, for how long, and the page that says what to do."""
    docs = (config.docs_url or DOCS).rstrip("/")
    lasting = {None: "", 1: " In one minute."}.get(minutes, f" In each of {minutes} minutes.")
    return f"{what}{lasting} Runbook: {docs}/runbooks/{name}.md"


def _plain(metric: cloudwatch.Metric) -> cloudwatch.Metric:
    """The metric without its label: CDK makes metric math of one that has a label."""
    return cloudwatch.Metric(
        namespace=metric.namespace,
        metric_name=metric.metric_name,
        dimensions_map=metric.dimensions,
        period=MINUTE,
        statistic=metric.statistic,
    )


class Alarms(Construct):
    """The alarms of a deployment.

    Attributes:
        topic: Who subscribes is told; ``alarm_email`` does.
    """

    def __init__(self, scope: Construct, construct_id: str, config: Config) -> None:
        super().__init__(scope, construct_id)
        self._config = config
        self._caller_alarms: list[cloudwatch.IAlarm] = []
        self.topic = sns.Topic(self, "Topic", enforce_ssl=True)
        # A policy of its own takes the place of the one that lets the account's alarms publish.
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["sns:Publish"],
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                resources=[self.topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Stack.of(self).account}},
            )
        )
        if config.alarm_email:
            self.topic.add_subscription(subscriptions.EmailSubscription(config.alarm_email))

    def add(self, condition: AlarmCondition) -> None:
        """Add an alarm. Of those that callers notice, one message is sent by the composite alarm for all."""
        operators = cloudwatch.ComparisonOperator
        alarm = cloudwatch.Alarm(
            self,
            "".join(word.capitalize() for word in condition.name.split("-")),
            alarm_name=f"segue-{self._config.stage}-{condition.name}",
            alarm_description=described(self._config, condition.name, condition.what, condition.minutes),
            metric=_plain(condition.metric),
            threshold=condition.threshold,
            evaluation_periods=condition.minutes,
            comparison_operator=operators.LESS_THAN_THRESHOLD
            if condition.fewer
            else operators.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.BREACHING
            if condition.fewer
            else cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        if condition.region:
            in_region = CfnCondition(
                self, f"In-{condition.region}", expression=Fn.condition_equals(Aws.REGION, condition.region)
            )
            cast("CfnResource", alarm.node.default_child).cfn_options.condition = in_region
        if condition.after is not None:
            alarm.node.add_dependency(condition.after)
        if condition.callers:
            self._caller_alarms.append(alarm)
        if not (condition.callers and self._config.target.saved_monitoring):
            self._notify_topic(alarm)

    def finish(self) -> None:
        """Add the composite alarm over those that callers notice."""
        if not self._config.target.saved_monitoring:
            return
        rule = cloudwatch.AlarmRule.any_of(
            *(cloudwatch.AlarmRule.from_alarm(alarm, cloudwatch.AlarmState.ALARM) for alarm in self._caller_alarms)
        )
        self._notify_topic(
            cloudwatch.CompositeAlarm(
                self,
                "CallersAreAffected",
                composite_alarm_name=f"segue-{self._config.stage}-{COMPOSITE}",
                alarm_description=described(
                    self._config, COMPOSITE, "Callers are affected; the alarms below it say how."
                ),
                alarm_rule=rule,
            )
        )

    def _notify_topic(self, alarm: cloudwatch.AlarmBase) -> None:
        alarm.add_alarm_action(actions.SnsAction(self.topic))
        alarm.add_ok_action(actions.SnsAction(self.topic))
