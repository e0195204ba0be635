"""The pytest plugin, found through the `pytest11` entry point.

It registers no fixtures: the context managers `temporary_database` and
`temporary_session` are what a project builds its own on.
"""
