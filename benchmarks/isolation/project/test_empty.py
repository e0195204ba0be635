async def test_nothing(number):
    pass
