from work import insert_and_read


async def test_work(hawkapi_db, number):
    async with hawkapi_db.session() as session:
        await insert_and_read(session)
