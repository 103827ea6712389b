"""Settings of each stage, kept in ``cdk.json``, so that a deployment is named by its stage alone.

    "context": {
      "alarm_email": "voice-team@example.com",
      "stages": {
        "dev":  { "worker_count": 1 },
        "prod": { "worker_count": 4, "worker_count_max": 40 }
      }
    }

``-c stage=prod`` then stands for all of prod's settings. The CDK hands over one context in which the command line and
``cdk.json`` are merged, so a setting beside ``stages`` wins over the stage's, as one on the command line does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from infra.setting_fields import ConfigurationError

STAGES: Final = "stages"
DEFAULT_STAGE: Final = "dev"


def with_stage(context: Mapping[str, Any], local: str) -> dict[str, Any]:
    """Put the chosen stage's settings beside those that hold for every stage.

    Args:
        context: The CDK context.
        local: The stage that needs none: the emulator's.

    Raises:
        ConfigurationError: There are stages, and the chosen one is none of them or has no settings.
    """
    everywhere = {name: value for name, value in context.items() if name != STAGES}
    if STAGES not in context:
        return everywhere
    stages = context[STAGES]
    if not isinstance(stages, Mapping) or not all(isinstance(each, Mapping) for each in stages.values()):
        raise ConfigurationError(STAGES, stages, "in cdk.json, an object of settings for each stage by name")
    stage = everywhere.get("stage", DEFAULT_STAGE)
    if stage == local:
        return everywhere
    if stage not in stages:
        raise ConfigurationError("stage", stage, f"one of `{STAGES}` in cdk.json: {', '.join(stages)}")
    if "stage" in stages[stage]:
        raise ConfigurationError(STAGES, stages[stage]["stage"], f"no `stage` inside of {stage}: its name is enough")
    return {**stages[stage], **everywhere, "stage": stage}
