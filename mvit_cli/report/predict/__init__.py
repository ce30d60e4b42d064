"""Rows for people and programs: data formats, the terminal, the page, progress."""
