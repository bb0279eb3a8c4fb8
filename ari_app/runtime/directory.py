"""All settings as the controller holds them in memory: plans by number, and who serves what."""

from collections.abc import Mapping

from ari_app import e164
from ari_app.core.call import Call
from ari_app.core.plan import UNKNOWN_NUMBER, Plan
from ari_app.store.plans import Config


class Directory:
    """Plans and agents by the keys that routing asks for.

    A call keeps the plan it arrived with, so old versions stay known while the process lives.
    """

    def __init__(self, region: str, old: Mapping[tuple[str, int], Plan]) -> None:
        self._region = region
        self._versions = dict(old)
        self._agent_of_endpoint: Mapping[str, int] = {}
        self.config = Config({}, frozenset(), ())

    def learn(self, config: Config) -> None:
        """These are the settings now."""
        self.config = config
        endpoints: dict[str, int] = {}
        for plan in config.plans.values():
            self._versions[plan.number, plan.version] = plan
            for member in plan.members:
                endpoints |= {device.endpoint: member.agent for device in member.devices}
        self._agent_of_endpoint = endpoints

    def resolve(self, dialled: str, region: str) -> str:
        """The number in E.164 that was dialled: one of ours if it can be read as one."""
        found = e164.candidates(dialled, region or self._region)
        ours = [number for number in found if number in self.config.plans]
        return next(iter([*ours, *found]), dialled)

    def newest(self, number: str) -> Plan:
        """The plan for a new call to the number; UNKNOWN_NUMBER if it is not ours."""
        return self.config.plans.get(number, UNKNOWN_NUMBER)

    def plan_of(self, call: Call) -> Plan:
        """The plan the call arrived with."""
        return self._versions.get((call.number, call.plan_version), UNKNOWN_NUMBER)

    def agent_of(self, endpoint: str) -> int | None:
        """Whose phone that is."""
        return self._agent_of_endpoint.get(endpoint)
