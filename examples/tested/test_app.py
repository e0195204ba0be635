import pytest

import app as application


@pytest.fixture
def app():
    return application.app


def test_an_address_is_taken_once(hawkapi_client):
    assert hawkapi_client.post("/users?email=ada@example.org").status_code == 201
    assert hawkapi_client.post("/users?email=ada@example.org").status_code == 409
