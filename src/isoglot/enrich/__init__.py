"""Text made from text: hard negatives and machine translation."""
