"""What the harness tells an application."""

import os

# Set by whoever starts the process, worker or server.
URL = os.environ["BENCHMARK_URL"]
