"""Marks this distribution as a plugin's; the plugin is `hawkapi_sqlalchemy.pytest.plugin`.

pytest rewrites the assertions of the modules at the top of a plugin's distribution. Where it finds
none there, it looks one folder further down: it would take `hawkapi_sqlalchemy/pytest` for the
package `pytest`, and warn each user that this is imported already.
"""
