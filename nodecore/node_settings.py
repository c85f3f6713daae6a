"""Settings that operators change on a running node: the eviction policy and the memory limit.

They are this node's own. What was set is kept among its records and stands above its configuration
from then on, also after a restart; ``default`` returns to the configuration. All settings of one
call are checked before any is applied.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, final

from nodecore.config_parsing import parse_size
from nodecore.config_rules import EVICTION_POLICIES, MAXMEMORY_BYTES_MAX, MAXMEMORY_BYTES_MIN
from nodecore.doors.session import OnOutcome
from nodecore.effects import Emit, Severity
from nodecore.errors import Code, InvalidConfig
from nodecore.ids import Now
from nodecore.requests import Done, Failed, Outcome
from nodecore.storage.eviction import make_policy
from nodecore.verb_arguments import Arguments, BadArgument, table_argument

if TYPE_CHECKING:
    from nodecore.node import Node

SETTINGS_RECORD: Final = "settings"
EVICTION: Final = "eviction"
MAXMEMORY: Final = "maxmemory"
NAMES: Final = (EVICTION, MAXMEMORY)
DEFAULT: Final = "default"
_BUSY_RETRY_S: Final = 5.0


@final
class NodeSettings:
    """The settings of one node.

    Args:
        node: whose store they rule.
        persisted: the records of an earlier life; what makes no sense in them is passed over.
    """

    def __init__(self, node: Node, persisted: Mapping[str, object]) -> None:
        self._node = node
        self.overrides: dict[str, str | int] = {}
        """What was set by operators, by name."""
        record = persisted.get(SETTINGS_RECORD)
        for name in NAMES if isinstance(record, Mapping) else ():
            assert isinstance(record, Mapping)
            if (value := record.get(name)) is None:
                continue
            try:
                self.overrides[name] = _checked(name, value)
            except BadArgument as error:
                text = f"a kept setting is ignored: {error}"
                node.emit(Emit("config.ignored", text, Severity.WARNING))
        if self.overrides:
            self._apply()

    def change(self, wanted: Mapping[str, object]) -> Failed | None:
        """Check, keep and apply; returns why nothing was done, or None.

        Raises:
            BadArgument: a name or value is wrong; nothing was done.
        """
        changed = dict(self.overrides)
        for name, value in wanted.items():
            if name not in NAMES:
                raise BadArgument(f"no setting {name!r}: there are {', '.join(NAMES)}")
            if value == DEFAULT:
                changed.pop(name, None)
            else:
                changed[name] = _checked(name, value)
        if self._node.store.is_changing_policy:
            text = "entries are still being handed over to the policy that was set before"
            return Failed(Code.CHANGE_RUNNING, text, _BUSY_RETRY_S)
        self.overrides = changed
        self._node.persist(SETTINGS_RECORD, changed)
        if self._apply():
            store = self._node.store
            text = f"eviction {store.policy.name}, maxmemory {store.bytes_max} bytes"
            self._node.emit(Emit("config.changed", f"settings changed: {text}"))
        return None

    def _apply(self) -> bool:
        """Bring the store to what was set or configured; returns whether that changed it."""
        store, config = self._node.store, self._node.config
        policy = str(self.overrides.get(EVICTION, config.eviction))
        limit = int(self.overrides.get(MAXMEMORY, config.maxmemory_bytes))
        if policy == store.policy.name and limit == store.bytes_max:
            return False
        store.set_bytes_max(limit)
        # A policy knows its capacity, so a new limit needs a new one as well.
        return store.set_policy(make_policy(policy, limit))

    def in_force(self) -> dict[str, object]:
        """As plain data."""
        store = self._node.store
        return {
            EVICTION: store.policy.name,
            MAXMEMORY: store.bytes_max,
            "ruling": store.ruling_policy,
            "changing": store.is_changing_policy,
            "overrides": dict(self.overrides),
        }


def config_get(node: Node, _arguments: Arguments, _on: OnOutcome, _now: Now) -> Outcome:
    """The settings in force."""
    return Done(node.settings.in_force())


def config_set(node: Node, arguments: Arguments, _on: OnOutcome, _now: Now) -> Outcome:
    """Change ``settings``, a table of names and values."""
    wanted = table_argument(arguments, "settings")
    if not wanted:
        raise BadArgument("settings must name at least one setting")
    return node.settings.change(wanted) or Done(node.settings.in_force())


def _checked(name: str, value: object) -> str | int:
    if name == EVICTION:
        if value not in EVICTION_POLICIES:
            raise BadArgument(f"eviction must be one of {', '.join(sorted(EVICTION_POLICIES))}")
        return str(value)
    try:
        size = parse_size(name, value) if isinstance(value, str) else value
    except InvalidConfig as error:
        raise BadArgument(str(error)) from None
    if type(size) is not int or not MAXMEMORY_BYTES_MIN <= size <= MAXMEMORY_BYTES_MAX:
        raise BadArgument(
            f"maxmemory must lie between {MAXMEMORY_BYTES_MIN} and {MAXMEMORY_BYTES_MAX} bytes"
        )
    return size
