"""What the dense head is made of: its layers, its rates, its epochs, its rows, its search."""
