"""One self-contained page of HTML on a run: no network, no resource outside the file, no script needed."""
