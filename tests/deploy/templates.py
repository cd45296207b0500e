"""Reading a CloudFormation template as plain YAML."""

import yaml


class Loader(yaml.SafeLoader):
    """Takes CloudFormation's functions for their arguments."""


Loader.add_multi_constructor("!", lambda loader, suffix, node: node.value)
