"""One video: its index, which frames make its clips, and the libraries that fetch them."""
