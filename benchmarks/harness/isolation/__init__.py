"""What a test costs that leaves nothing behind, beside other ways to do it."""
