"""An application with replicas, served over HTTP by processes of their own.

`settings` tells an application what to do through the environment, `application` is what uvicorn
serves, `processes` starts it, `client` speaks to it, and `fixtures` is a pytest plugin.
"""
