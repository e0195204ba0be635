from typing import Any

from replica_service.client import Client


async def test_smoke(spare_cluster: Any, start_services: Any) -> None:
    services = start_services(
        spare_cluster,
        processes=2,
        policy={},
        read_your_writes={"secret": "x" * 40, "secure": False},
    )
    async with Client([each.url for each in services]) as client:
        print(await client.replicas(at=0))
        ports = []
        for n in range(100):
            r = await client.store("a", str(n), at=n % 2)
            assert r.status_code == 201, r.text
            r = await client.read("a", at=(n + 1) % 2)
            assert r.json()["value"] == str(n), (n, r.json())
            ports.append(r.json()["port"])
        import collections

        print(collections.Counter(ports), spare_cluster.primary.port)
        print(await client.replicas(at=0))
        for each in services:
            print(each.output())
