"""redis-py, the client that most users take: plain, asynchronous and cluster-aware."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.cluster import ClusterNode, RedisCluster

from tests.e2e.harness import Cluster
from tests.e2e.wire import port_of

pytestmark = pytest.mark.slow

KEYS = 400


@pytest.mark.parametrize("protocol", [None, 2, 3])
def test_the_plain_client(ring: Cluster, protocol: int | None) -> None:
    chosen: dict[str, Any] = {} if protocol is None else {"protocol": protocol}
    port = port_of(ring.nodes[1]["resp"])
    with redis.Redis(port=port, socket_timeout=5, decode_responses=True, **chosen) as client:
        assert client.ping()
        assert client.set("plain:a", "1", ex=100)
        assert client.get("plain:a") == "1"
        assert 90 < client.ttl("plain:a") <= 100
        assert client.set("plain:a", "2", nx=True) is None
        assert client.incrby("plain:a", 41) == 42
        assert client.mset({"plain:b": "x", "plain:c": "y"})
        assert client.mget("plain:b", "plain:none", "plain:c") == ["x", None, "y"]
        assert client.append("plain:b", "yz") == 3
        assert client.getrange("plain:b", 1, 2) == "yz"
        assert client.exists("plain:a", "plain:b", "plain:none") == 2
        assert client.type("plain:a") == "string"
        assert client.getdel("plain:c") == "y"
        assert client.delete("plain:a", "plain:b", "plain:none") == 2
        assert client.info("server")["redis_version"]
        assert client.config_get("maxmemory")["maxmemory"].isdigit()
        assert client.client_setname("tester")
        assert client.client_getname() == "tester"


def test_pipelines_and_transactions(ring: Cluster) -> None:
    with ring.redis(ring.nodes[0]["resp"]) as client:
        pipe = client.pipeline(transaction=False)
        for number in range(KEYS):
            pipe.set(f"pipe:{number}", number)
        for number in range(KEYS):
            pipe.get(f"pipe:{number}")
        assert pipe.execute()[KEYS:] == [b"%d" % number for number in range(KEYS)]
        with client.pipeline() as transaction:
            transaction.watch("{one}:a")
            transaction.multi()
            transaction.set("{one}:a", 1)
            transaction.incr("{one}:a")
            assert transaction.execute() == [True, 2]
        with client.pipeline() as transaction:
            transaction.watch("{one}:a")
            client.set("{one}:a", "meanwhile")
            transaction.multi()
            transaction.set("{one}:a", 3)
            with pytest.raises(redis.WatchError):
                transaction.execute()
        with pytest.raises(redis.ResponseError, match="hash to the same slot"):
            client.pipeline().set("one", 1).set("two", 2).execute()


def cluster_client(ring: Cluster, **options: Any) -> Any:
    """Untyped: the types of this client are not complete."""
    port = port_of(ring.nodes[0]["resp"])
    first = ClusterNode("127.0.0.1", port)  # type: ignore[no-untyped-call]
    return RedisCluster(startup_nodes=[first], **options)


@pytest.mark.parametrize("protocol", [2, 3])
def test_the_cluster_client(ring: Cluster, protocol: int) -> None:
    client = cluster_client(ring, protocol=protocol)
    try:
        assert len(client.get_nodes()) == 3
        pipe = client.pipeline()
        for number in range(KEYS):
            pipe.set(f"cluster:{number}", number)
        assert all(pipe.execute())
        assert all(client.get(f"cluster:{number}") == b"%d" % number for number in range(KEYS))
        keys = [f"cluster:{number}" for number in range(KEYS)]
        values = [b"%d" % number for number in range(KEYS)]
        assert client.mget_nonatomic(*keys) == values
        scanned = list(client.scan_iter("cluster:*", count=500))
        assert sorted(scanned) == sorted(key.encode() for key in keys)
        assert client.incr("{tag}:counter") == client.incr("{tag}:counter") - 1
        assert client.mset({"{tag}:a": 1, "{tag}:b": 2})
        assert client.mget("{tag}:a", "{tag}:b") == [b"1", b"2"]
        client.delete("{tag}:counter")
    finally:
        client.close()


def test_the_asynchronous_client(ring: Cluster) -> None:
    async def scenario() -> None:
        port = port_of(ring.nodes[2]["resp"])
        client = redis.asyncio.Redis(port=port, socket_timeout=5)
        try:
            await asyncio.gather(*[client.set(f"async:{number}", number) for number in range(50)])
            found = await asyncio.gather(*[client.get(f"async:{number}") for number in range(50)])
            assert found == [b"%d" % number for number in range(50)]
        finally:
            await client.aclose()

    asyncio.run(scenario())


def test_the_cluster_client_follows_a_node_that_joins(ring: Cluster) -> None:
    """Keeps its first view of the slots, and is led to the right node by redirections."""
    client = cluster_client(ring)
    try:
        for number in range(KEYS):
            client.set(f"grown:{number}", number)
        ring.ok("cluster", "add")
        for number in range(KEYS):
            assert client.get(f"grown:{number}") == b"%d" % number
            assert client.set(f"grown:{number}", -number)
        pipe = client.pipeline()
        for number in range(KEYS):
            pipe.get(f"grown:{number}")
        assert pipe.execute() == [b"%d" % -number for number in range(KEYS)]
        client.nodes_manager.initialize()
        assert len(client.get_nodes()) == 4
    finally:
        client.close()
        ring.ok("cluster", "remove", "n4")
