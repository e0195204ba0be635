"""The benchmark's instrument: it measures, and judges what it measured."""
