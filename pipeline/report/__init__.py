"""The study's report: one HTML file to decide by, which needs no network."""

from pipeline.report.build import build_report

__all__ = ["build_report"]
