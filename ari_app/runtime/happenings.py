"""What the inbox carries: the core's events, and what the runtime tells itself."""

from collections.abc import Mapping
from dataclasses import dataclass

from ari_app.core.agent import Agent
from ari_app.core.events import AgentRested, CommandDone, CommandFailed, Event, PhoneFree
from ari_app.core.reconcile import Seen
from ari_app.store.plans import Config


@dataclass(frozen=True, slots=True)
class Answered:
    """Asterisk's answer to the command in row `sent` of the outbox."""

    sent: int
    event: CommandDone | CommandFailed


@dataclass(frozen=True, slots=True)
class ConfigRead:
    """The settings changed, or are read for the first time; `agents` as the database has them."""

    config: Config
    agents: Mapping[int, Agent]


@dataclass(frozen=True, slots=True)
class Observed:
    """We looked at what Asterisk holds. `sight` is `Mind.sight` when we began to look."""

    seen: Seen
    sight: int = 0


Happening = Event | PhoneFree | AgentRested | Answered | ConfigRead | Observed
