"""Which examples, in which languages, make up each batch; numpy only."""
