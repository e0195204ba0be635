"""HawkAPI alone: what a route costs that has no database."""

from hawkapi import HawkAPI
from shared.structs import NothingOut

app = HawkAPI()


@app.get("/nothing")
async def nothing() -> NothingOut:
    return NothingOut(ok=True)
