"""What all pages share: the templates' engine, the frame of a document, its look and its script."""
