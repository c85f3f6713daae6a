"""The CLUSTER family: the slot map in the forms that Redis Cluster clients read, and redirects.

A slot's owners are listed live ones first, so that the first of them is where requests and
redirects go. Members without a RESP door are not listed. Of each slot only that first owner is
named: every node here is first for some slots and a copy for others, while clients (redis-py among
them) take a node that is listed as a replica anywhere for a replica everywhere, and leave it out of
SCAN and DBSIZE.
"""

from __future__ import annotations

from itertools import groupby
from typing import Final

from nodecore.doors.commands.connection import by_subcommand
from nodecore.doors.commands.server import run_id
from nodecore.doors.commands.spec import Arguments, Command, CommandError, integer_of
from nodecore.doors.resp_connection import Connection, DoorState
from nodecore.doors.resp_writer import Encoded, Plain, array, bulk, integer
from nodecore.ids import SLOTS_COUNT, NodeId, Now

_DISABLED: Final = "ERR This instance has cluster support disabled"
_KEYS_MAX: Final = 10_000


def resp_address(door: DoorState, node: str) -> tuple[str, int] | None:
    """Host and port of a member's RESP door, None when it has none."""
    member = door.backend.topology.member(NodeId(node))
    if member is None:
        return None
    host, _, port = member.addresses.resp.rpartition(":")
    if not host or not port.isdigit():
        return None
    return host.strip("[]"), int(port)


def live_owners(door: DoorState, slot: int) -> tuple[str, ...]:
    """Owners of a slot, live ones first."""
    owners = door.backend.owners(slot)
    is_live = door.backend.is_live
    return tuple(sorted(owners, key=lambda node: not is_live(node)))


def slot_ranges(door: DoorState) -> tuple[tuple[int, int, tuple[str, ...]], ...]:
    """(first, last, owners) of runs of slots with equal owners; cached per epoch and liveness."""
    backend = door.backend
    live = tuple(backend.is_live(member.node_id) for member in backend.topology.all_members)
    token = (backend.epoch(), live)
    if door.slots_cache is not None and door.slots_cache[0] == token:
        return door.slots_cache[1]
    ranges = []
    for owners, run in groupby(range(SLOTS_COUNT), key=lambda slot: live_owners(door, slot)):
        slots = list(run)
        if owners:
            ranges.append((slots[0], slots[-1], owners))
    door.slots_cache = (token, tuple(ranges))
    return door.slots_cache[1]


def redirect(connection: Connection, keys: list[bytes], writes: bool) -> str | None:
    """The error that sends a cluster-aware client elsewhere, None when this node serves the keys."""
    door = connection.door
    slots = sorted(set(door.backend.table.slots_of(keys)))
    if len(slots) > 1:
        return "CROSSSLOT Keys in request don't hash to the same slot"
    slot = slots[0]
    owners = live_owners(door, slot)
    here = door.backend.node_id
    if not owners or owners[0] == here or (connection.readonly and not writes and here in owners):
        return None
    address = resp_address(door, owners[0])
    # An owner without a RESP door can't be named: this node asks it on the client's behalf.
    return None if address is None else f"MOVED {slot} {address[0]}:{address[1]}"


def _announce(connection: Connection) -> DoorState:
    if connection.door.resp_cluster == "proxy":
        raise CommandError(_DISABLED)
    connection.announce_cluster()
    return connection.door


def _slots(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    door = _announce(connection)
    nodes: dict[str, bytes] = {}
    for member in door.backend.topology.all_members:
        address = resp_address(door, member.node_id)
        if address is not None:
            nodes[member.node_id] = array(
                [
                    bulk(address[0].encode()),
                    integer(address[1]),
                    bulk(run_id(member.node_id).encode()),
                    array([]),
                ]
            )
    runs: list[tuple[int, int, bytes]] = []
    for first, last, owners in slot_ranges(door):
        listed = next((nodes[owner] for owner in owners if owner in nodes), None)
        if listed is None:
            continue
        if runs and runs[-1][1:] == (first - 1, listed):
            first = runs.pop()[0]
        runs.append((first, last, listed))
    return array([array([integer(first), integer(last), node]) for first, last, node in runs])


def _primary_ranges(door: DoorState) -> dict[str, list[tuple[int, int]]]:
    ranges: dict[str, list[tuple[int, int]]] = {}
    for first, last, owners in slot_ranges(door):
        mine = ranges.setdefault(owners[0], [])
        if mine and mine[-1][1] == first - 1:
            mine[-1] = (mine[-1][0], last)
        else:
            mine.append((first, last))
    return ranges


def _shards(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    door = _announce(connection)
    ranges = _primary_ranges(door)
    shards: list[Plain] = []
    for member in door.backend.topology.all_members:
        address = resp_address(door, member.node_id)
        if address is None:
            continue
        slots = [slot for pair in ranges.get(member.node_id, []) for slot in pair]
        online = door.backend.is_live(member.node_id)
        shards.append(
            {
                "slots": slots,
                "nodes": [
                    {
                        "id": run_id(member.node_id),
                        "port": address[1],
                        "ip": address[0],
                        "endpoint": address[0],
                        "role": "master",
                        "replication-offset": 0,
                        "health": "online" if online else "fail",
                    }
                ],
            }
        )
    return connection.encoder.plain(shards)


def _nodes(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    door = _announce(connection)
    backend = door.backend
    ranges = _primary_ranges(door)
    lines = []
    for member in backend.topology.all_members:
        address = resp_address(door, member.node_id)
        if address is None:
            continue
        flags = "myself,master" if member.node_id == backend.node_id else "master"
        live = backend.is_live(member.node_id)
        slots = " ".join(
            f"{first}-{last}" if first != last else f"{first}"
            for first, last in ranges.get(member.node_id, [])
        )
        lines.append(
            f"{run_id(member.node_id)} {address[0]}:{address[1]}@{address[1]} "
            f"{flags if live else flags + ',fail?'} - 0 0 {backend.epoch()} "
            f"{'connected' if live else 'disconnected'} {slots}".rstrip()
        )
    text = "".join(line + "\n" for line in lines)
    return connection.encoder.verbatim(text.encode())


def _info(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    if connection.door.resp_cluster == "proxy":
        raise CommandError(_DISABLED)
    door = connection.door
    backend = door.backend
    ranges = slot_ranges(door)
    assigned = sum(last - first + 1 for first, last, _ in ranges)
    failing = sum(
        last - first + 1 for first, last, owners in ranges if not backend.is_live(NodeId(owners[0]))
    )
    fields = {
        "cluster_enabled": 1,
        "cluster_state": "ok" if backend.ready() and not failing else "fail",
        "cluster_slots_assigned": assigned,
        "cluster_slots_ok": assigned - failing,
        "cluster_slots_pfail": 0,
        "cluster_slots_fail": failing,
        "cluster_known_nodes": len(backend.topology.all_members),
        "cluster_size": len(_primary_ranges(door)),
        "cluster_current_epoch": backend.epoch(),
        "cluster_my_epoch": backend.epoch(),
    }
    text = "".join(f"{name}:{value}\r\n" for name, value in fields.items())
    return connection.encoder.verbatim(text.encode())


def _keyslot(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    return integer(connection.door.backend.table.slot_of(arguments[2]))


def _myid(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    return bulk(run_id(connection.door.backend.node_id).encode())


def _slot(text: bytes) -> int:
    slot = integer_of(text, "ERR Invalid or out of range slot")
    if not 0 <= slot < SLOTS_COUNT:
        raise CommandError("ERR Invalid slot")
    return slot


def _countkeysinslot(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    return integer(connection.door.backend.local_count(_slot(arguments[2])))


def _getkeysinslot(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    slot, count = _slot(arguments[2]), integer_of(arguments[3])
    if count < 0:
        raise CommandError("ERR Invalid number of keys")
    keys = connection.door.backend.local_keys(slot, min(count, _KEYS_MAX))
    return connection.encoder.plain([Encoded(bulk(key)) for key in keys])


def _container(connection: Connection, arguments: Arguments, now: Now) -> bytes:
    raise CommandError(_DISABLED)


_GROUP: Final = "cluster"
_CLUSTER: Final = (
    Command("cluster|slots", 2, _slots, (), "Ranges of slots and their nodes.", _GROUP, since="3.0.0"),
    Command("cluster|shards", 2, _shards, (), "Nodes and their ranges of slots.", _GROUP, since="7.0.0"),
    Command("cluster|nodes", 2, _nodes, (), "The members as text.", _GROUP, since="3.0.0"),
    Command("cluster|info", 2, _info, (), "The state of the cluster as text.", _GROUP, since="3.0.0"),
    Command("cluster|keyslot", 3, _keyslot, ("fast",), "The slot of a key.", _GROUP, since="3.0.0"),
    Command("cluster|myid", 2, _myid, ("fast",), "This node's id.", _GROUP, since="3.0.0"),
    Command("cluster|countkeysinslot", 3, _countkeysinslot, ("fast",), "Keys of a slot on this node.", _GROUP, since="3.0.0"),
    Command("cluster|getkeysinslot", 4, _getkeysinslot, (), "Some keys of a slot on this node.", _GROUP, since="3.0.0"),
)  # fmt: skip

COMMANDS: Final = (
    Command("cluster", -2, _container, (), "The slot map.", _GROUP, since="3.0.0", subcommands=by_subcommand(_CLUSTER)),
)  # fmt: skip
