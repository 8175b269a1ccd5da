"""What can be built: every study in studies/ is a target, named by its file."""

import sys
from dataclasses import asdict

from pipeline.downloads import check_downloads
from pipeline.job import run_jobs_from
from pipeline.plans import Plans

run_jobs_from(workflow.basedir)
plans = Plans(stop=sys.exit)


wildcard_constraints:
    study=r"[^/]+",
    run=r"[^/]+",


rule all:
    default_target: True
    input:
        lambda _: plans.study("cifar10").report,


for name in plans.files:

    rule:
        name:
            name
        input:
            lambda _, name=name: plans.study(name).report,


include: "pipeline/rules/features.smk"
include: "pipeline/rules/heads.smk"
include: "pipeline/rules/comparison.smk"


onstart:
    check_downloads(plans.made(), stop=sys.exit)


onsuccess:
    for report in (study.report for study in plans.made()):
        if report.exists():
            print(f"\nThe report is there: {report}", file=sys.stderr)
