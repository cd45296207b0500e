"""A simulator of AWS Elastic Disaster Recovery that unmodified boto3 clients talk to over HTTP."""

from drs_simulator.world.demo import demo_fleet, demo_server_ids
from drs_simulator.world.fleet import Fleet, FleetServer, generate_fleet, server_id

__all__ = ["Fleet", "FleetServer", "demo_fleet", "demo_server_ids", "generate_fleet", "server_id"]
