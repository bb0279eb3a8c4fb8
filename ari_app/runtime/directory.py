"""All settings as the controller holds them in memory: plans by number, and who serves what."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

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
        self._numbers_of_agent: Mapping[int, frozenset[str]] = {}
        self._agent_of_endpoint: Mapping[str, int] = {}
        self._kin: Mapping[str, frozenset[str]] = {}
        self.config = Config({}, frozenset(), ())

    def learn(self, config: Config) -> None:
        """These are the settings now."""
        self.config = config
        numbers: defaultdict[int, set[str]] = defaultdict(set)
        endpoints: dict[str, int] = {}
        for plan in config.plans.values():
            self._versions[plan.number, plan.version] = plan
            for member in plan.members:
                numbers[member.agent].add(plan.number)
                endpoints |= {device.endpoint: member.agent for device in member.devices}
        self._numbers_of_agent = {agent: frozenset(found) for agent, found in numbers.items()}
        self._agent_of_endpoint = endpoints
        self._kin = _kin(config.plans.values())

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

    def numbers_of(self, agent: int) -> frozenset[str]:
        """The numbers the agent is a member of."""
        return self._numbers_of_agent.get(agent, frozenset())

    def kin(self, number: str) -> frozenset[str]:
        """The numbers that share agents with this one, directly or through others; itself too.

        Their callers stand in one line: an agent goes to whoever came first (design.md section 6).
        """
        return self._kin.get(number, frozenset({number}))

    def agent_of(self, endpoint: str) -> int | None:
        """Whose phone that is."""
        return self._agent_of_endpoint.get(endpoint)


def _kin(plans: Iterable[Plan]) -> dict[str, frozenset[str]]:
    """Each number with all that it shares agents with."""
    groups: list[tuple[set[str], set[int]]] = []
    for plan in plans:
        numbers, agents = {plan.number}, {member.agent for member in plan.members}
        for group in [each for each in groups if each[1] & agents]:
            groups.remove(group)
            numbers |= group[0]
            agents |= group[1]
        groups.append((numbers, agents))
    return {number: frozenset(numbers) for numbers, _ in groups for number in numbers}
