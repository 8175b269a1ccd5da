"""The workflow: study file to plan of files to rules to report."""
