"""Which installation of ours may launch a source server: a tag on it, so that two installations that know nothing of
each other find out (docs/adr/0114-takeover.md). It is read with everything else that DRS tells of the server."""

from collections.abc import Sequence
from dataclasses import dataclass

from drs.arns import server_arn
from drs.client import Drs
from drs.shapes import INSTALLATION_TAG


@dataclass(frozen=True)
class InstallationTags(Drs):
    """Every method raises DrsError and nothing else for a call that failed."""

    def write(self, source_server_ids: Sequence[str], value: str) -> None:
        """One call a server: DRS has no other way. The same again changes nothing, so botocore may repeat it."""
        for each in source_server_ids:
            self._write(each, value)

    def _write(self, source_server_id: str, value: str) -> None:
        arn = server_arn(self.account, self.region, source_server_id)
        tags = {INSTALLATION_TAG: value}
        self._call("TagResource", lambda: self._reader.tag_resource(resourceArn=arn, tags=tags))
