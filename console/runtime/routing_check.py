"""Does every node route every key of the load generator to where it is? Asked at the RESP doors.

Each node is asked three ways: plain reads of every key (the node forwards what is not its own), CLUSTER
SLOTS against the owners in the document, and the same reads again as a cluster client, where the node
must answer itself or send the client to the first owner. Last, every first owner is asked how many
keys it holds in each slot: no key may be elsewhere. What disagrees is counted, nothing is repaired.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import trio

from console.errors import ClusterUnreachable, ConsoleError
from console.load.keys import key_name
from console.load.values import parse_value
from console.resp_replies import ErrorReply, MalformedReply, Reply, ReplyReader, encoded
from nodecore.config_rules import split_address
from nodecore.placement.hashing import slot_of

BATCH_COMMANDS: Final = 500
READ_BYTES: Final = 65_536
CHECK_TIMEOUT_S: Final = 30.0


@dataclass(slots=True)
class Misrouted:
    """Answers that disagree."""

    reads: int = 0
    """Keys that a node did not find when it was asked plainly."""
    redirections: int = 0
    """Keys for which a node sent a cluster client elsewhere than to the first owner."""
    slots: int = 0
    """Slots that a node's CLUSTER SLOTS gives to another node."""
    absent: int = 0
    """Keys that their first owner does not hold."""
    example: str = ""
    """The first answer to a read that was wrong."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.reads + self.redirections + self.slots + self.absent

    def text(self) -> str:
        """In words; empty when there is none."""
        counts = {
            "plain reads": self.reads,
            "redirections": self.redirections,
            "slots": self.slots,
            "keys not held": self.absent,
        }
        found = [f"{count} {name}" for name, count in counts.items() if count]
        return ", ".join(found) + (f" ({self.example})" if self.example else "")


async def find_misrouted(doors: Mapping[str, str], owners: Sequence[str], keys: int) -> Misrouted:
    """Ask every node for every key, and for the slots.

    ``doors`` are the RESP addresses by node, ``owners`` the first owner of each slot, ``keys`` how many
    keys the load generator has written.

    Raises:
        ClusterUnreachable: a node could not be asked.
        ConsoleError: not finished in time, or an answer made no sense.
    """
    names = [key_name(number) for number in range(keys)]
    found = Misrouted()
    try:
        with trio.fail_after(CHECK_TIMEOUT_S):
            for node_id, address in sorted(doors.items()):
                pair = split_address(address)
                if pair is None:
                    raise ClusterUnreachable(f"{node_id} has no RESP door")
                stream = await trio.open_tcp_stream(*pair)
                async with stream:
                    await _Asked(stream, node_id, doors, owners).check(names, found)
    except trio.TooSlowError:
        raise ConsoleError(f"routing was not checked within {CHECK_TIMEOUT_S:g} s") from None
    except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise ClusterUnreachable(f"a RESP door can't be asked: {error}") from None
    except MalformedReply as error:
        raise ConsoleError(f"a RESP door answered with {error}") from None
    return found


@final
class _Asked:
    """One node under question."""

    def __init__(
        self,
        stream: trio.SocketStream,
        node_id: str,
        doors: Mapping[str, str],
        owners: Sequence[str],
    ) -> None:
        self._stream = stream
        self._reader = ReplyReader()
        self._node_id = node_id
        self._doors = doors
        self._owners = owners

    async def check(self, names: Sequence[bytes], found: Misrouted) -> None:
        gets = [(b"GET", name) for name in names]
        for name, reply in zip(names, await self._ask(gets), strict=True):
            if not _is_value(reply, name):
                found.reads += 1
                found.example = found.example or self._told(name, reply)
        slots = (await self._ask([(b"CLUSTER", b"SLOTS")]))[0]
        found.slots += wrong_ranges(slots, [self._doors.get(owner, "") for owner in self._owners])
        for name, reply in zip(names, await self._ask(gets), strict=True):
            slot = slot_of(name)
            moved = f"MOVED {slot} {self._doors.get(self._owners[slot], '')}"
            redirected = isinstance(reply, ErrorReply) and reply.text == moved
            if not (redirected or _is_value(reply, name)):
                found.redirections += 1
                found.example = found.example or self._told(name, reply)
        found.absent += await self._count_absent(names)

    def _told(self, name: bytes, reply: Reply) -> str:
        said = reply.text if isinstance(reply, ErrorReply) else repr(reply)[:80]
        return f"{self._node_id}, asked for {name.decode()}: {said}"

    async def _count_absent(self, names: Sequence[bytes]) -> int:
        """Keys of this node's slots that it does not hold."""
        wanted = Counter(slot for slot in map(slot_of, names) if self._is_mine(slot))
        slots = sorted(wanted)
        commands = [(b"CLUSTER", b"COUNTKEYSINSLOT", str(slot).encode()) for slot in slots]
        held = await self._ask(commands)
        return sum(
            max(0, wanted[slot] - (count if isinstance(count, int) else 0))
            for slot, count in zip(slots, held, strict=True)
        )

    def _is_mine(self, slot: int) -> bool:
        return self._owners[slot] == self._node_id

    async def _ask(self, commands: Sequence[Sequence[bytes]]) -> list[Reply]:
        replies: list[Reply] = []
        for first in range(0, len(commands), BATCH_COMMANDS):
            batch = commands[first : first + BATCH_COMMANDS]
            await self._stream.send_all(b"".join(encoded(command) for command in batch))
            wanted = len(replies) + len(batch)
            while len(replies) < wanted:
                data = await self._stream.receive_some(READ_BYTES)
                if not data:
                    raise ClusterUnreachable(f"{self._node_id} closed the connection")
                replies += self._reader.feed(data)
        return replies


def wrong_ranges(reply: Reply, expected: Sequence[str]) -> int:
    """How many slots a reply to CLUSTER SLOTS gives to another address than ``expected``."""
    found: dict[int, str] = {}
    for entry in reply if isinstance(reply, list) else []:
        match entry:
            case [int() as first, int() as last, [bytes() as host, int() as port, *_], *_]:
                for slot in range(max(first, 0), min(last + 1, len(expected))):
                    found[slot] = f"{host.decode(errors='replace')}:{port}"
            case _:
                return len(expected)
    return sum(found.get(slot) != address for slot, address in enumerate(expected))


def _is_value(reply: Reply, name: bytes) -> bool:
    if not isinstance(reply, bytes):
        return False
    parsed = parse_value(reply)
    return parsed is not None and parsed.key == name
