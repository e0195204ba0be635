"""The plots. Which there are, and what is in them, is known without matplotlib."""
