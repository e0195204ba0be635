"""What a run has found, as a page of the documentation: tables, plots, and how to read them."""
