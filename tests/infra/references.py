"""References of a template in a form that can be read and compared."""

from __future__ import annotations

from typing import Any


def simplified(value: Any) -> str:
    """A value with logical ids for references, and ``Data.`` or ``Web.`` for those of another stack."""
    if isinstance(value, str):
        return value
    if "Ref" in value:
        return f"<{value['Ref']}>"
    if "Fn::GetAtt" in value:
        return f"<{value['Fn::GetAtt'][0]}>"
    if "Fn::GetStackOutput" in value:
        output = value["Fn::GetStackOutput"]
        return f"<{output['StackName'].rpartition('-')[2]}.{output['OutputName']}>"
    if "Fn::Sub" in value:
        return value["Fn::Sub"]
    return value["Fn::Join"][0].join(simplified(each) for each in value["Fn::Join"][1])
