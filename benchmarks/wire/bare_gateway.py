"""The bare floor: the same gateway, and a function that posts each message straight back to its connection."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from local.deployment.outputs import client
from local.settings import ACCOUNT, LOOPBACK, REGION

NAME = "floor"

_FUNCTION = """
import os
from urllib.parse import quote
import urllib3

http = urllib3.PoolManager()

def handler(event, context):
    request = event["requestContext"]
    if request["routeKey"] == "$default":
        path = quote(request["connectionId"], safe="-._~")
        http.request("POST", os.environ["ENDPOINT"] + "/@connections/" + path, body=event["body"].encode())
    return {"statusCode": 200}
"""


def put_up(endpoint: str) -> str:
    """Make the function and an API of its own for it.

    Args:
        endpoint: The emulator's URL.

    Returns:
        Where to connect.
    """
    gateway, functions = client("apigatewayv2", endpoint), client("lambda", endpoint)
    api = gateway.create_api(Name=NAME, ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action")
    path = f"_aws/execute-api/{api['ApiId']}/{NAME}"
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("floor.py", _FUNCTION)
    function: dict[str, Any] = functions.create_function(
        FunctionName=NAME,
        Runtime="python3.13",
        Handler="floor.handler",
        Role=f"arn:aws:iam::{ACCOUNT}:role/floor",
        Code={"ZipFile": code.getvalue()},
        Layers=_layers(functions),
        Environment={"Variables": {"ENDPOINT": f"{endpoint}/{path}"}},
        Timeout=10,
    )
    uri = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{function['FunctionArn']}/invocations"
    integration = gateway.create_integration(ApiId=api["ApiId"], IntegrationType="AWS_PROXY", IntegrationUri=uri)
    for route in ("$connect", "$default", "$disconnect"):
        target = f"integrations/{integration['IntegrationId']}"
        gateway.create_route(ApiId=api["ApiId"], RouteKey=route, Target=target)
    gateway.create_stage(ApiId=api["ApiId"], StageName=NAME, AutoDeploy=True)
    return f"ws://{endpoint.removeprefix('http://').replace('localhost', LOOPBACK)}/{path}"


def _layers(functions: Any) -> list[str]:
    """The layers of a function of Segue's: urllib3 comes from there."""
    found = functions.list_functions()["Functions"]
    message = next(one for one in found if "Message" in one["FunctionName"])
    return [layer["Arn"] for layer in message.get("Layers", [])]
