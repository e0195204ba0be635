"""The databases of a test run: made once, with the schema, and copied or cleaned for each test."""
