"""The study's report: one HTML file to decide by, which needs no network."""

from pipeline.report.build import build_report
from pipeline.report.evidence import Evidence

__all__ = ["Evidence", "build_report"]
