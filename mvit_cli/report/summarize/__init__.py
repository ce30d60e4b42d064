"""What a network does, for people: tables by stage and block, comparisons, pictures."""
