"""What each row of the paper trains, at any scale, and what the authors measured."""
