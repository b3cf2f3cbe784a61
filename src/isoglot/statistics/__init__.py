"""Whether systems differ: intervals and paired tests."""
