"""The study's report: one HTML file to decide by, which needs no network."""
