"""Where AWS's own console shows what we speak of."""

# Regions of other partitions have consoles of their own.
_CONSOLES = {"cn-": "amazonaws.cn", "us-gov-": "amazonaws-us-gov.com"}


def _console(region: str) -> str:
    domain = next((each for start, each in _CONSOLES.items() if region.startswith(start)), "aws.amazon.com")
    return f"https://{region}.console.{domain}"


def source_server(region: str, server_id: str) -> str:
    """The server in the console of DRS."""
    return f"{_console(region)}/drs/home?region={region}#/sourceServers/{server_id}"


def quotas(region: str, service: str, code: str = "") -> str:
    """The quotas of a service in Service Quotas, or one of them."""
    return f"{_console(region)}/servicequotas/home/services/{service}/quotas{f'/{code}' if code else ''}"


def instance(region: str, instance_id: str) -> str:
    """The instance in the console of EC2."""
    return f"{_console(region)}/ec2/home?region={region}#InstanceDetails:instanceId={instance_id}"
