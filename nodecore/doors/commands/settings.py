"""CONFIG SET: the settings that a running node changes, under the names that Redis gives them.

Policies bear Redis's names where they do the same: ``allkeys-lru`` is ``lru``, ``allkeys-lfu`` is
``lfu``, ``volatile-ttl`` is ``ttl``; those without a counterpart go by their own name. The node checks
values and applies all settings of one command or none.
"""

from __future__ import annotations

from typing import Final

from nodecore.doors.commands.spec import Arguments, CommandError, failure
from nodecore.doors.resp_connection import Connection
from nodecore.doors.resp_writer import OK
from nodecore.ids import Now
from nodecore.requests import Done, Failed, Unknown

_OURS: Final = {"allkeys-lru": "lru", "allkeys-lfu": "lfu", "volatile-ttl": "ttl"}
_REDIS: Final = {ours: theirs for theirs, ours in _OURS.items()}
_ABSENT: Final = {
    "noeviction": "a cache that is full always evicts",
    "allkeys-random": "eviction is never random",
    "volatile-random": "eviction is never random",
    "volatile-lru": "keys without an expiry are evicted too: use allkeys-lru",
    "volatile-lfu": "keys without an expiry are evicted too: use allkeys-lfu",
}
_SETTINGS: Final = {"maxmemory": "maxmemory", "maxmemory-policy": "eviction"}
"""The node's name of a setting by Redis's."""


def redis_policy_name(policy: str) -> str:
    """Redis's name of a policy where it has one, else the policy's own."""
    return _REDIS.get(policy, policy)


def _policy(name: str) -> str:
    if name in _ABSENT:
        raise CommandError(f"ERR CONFIG SET failed - no policy '{name}': {_ABSENT[name]}")
    return _OURS.get(name, name)


def config_set(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    """CONFIG SET name value [name value ...]."""
    words = [word.decode("utf-8", "replace") for word in arguments[2:]]
    if len(words) % 2:
        raise CommandError("ERR wrong number of arguments for 'config|set' command")
    wanted: dict[str, object] = {}
    for name, value in zip(words[::2], words[1::2], strict=True):
        ours = _SETTINGS.get(name.lower())
        if ours is None:
            raise CommandError(
                f"ERR CONFIG SET failed - '{name[:64]}' can't be changed while the node runs; "
                f"{' and '.join(_SETTINGS)} can"
            )
        if ours in wanted:
            raise CommandError(f"ERR CONFIG SET failed - '{name[:64]}' is given twice")
        wanted[ours] = _policy(value.lower()) if ours == "eviction" else value
    outcome = connection.door.backend.admin(
        "config.set", {"settings": wanted}, lambda _outcome, _now: None, now
    )
    if isinstance(outcome, Failed | Unknown):
        return failure(outcome)
    assert isinstance(outcome, Done), "config.set answers at once"
    return OK
