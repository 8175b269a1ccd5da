"""What can be built: every study in studies/ is a target, named by its file."""

import sys
import time
from dataclasses import asdict

from features.engines.gpu import gpus
from pipeline.board import show_results
from pipeline.downloads import check_downloads
from pipeline.job import folder_lock, run_jobs_from, work_alone
from pipeline.plans import Plans
from pipeline.weights import check_weights

started = time.time()
run_jobs_from(workflow.basedir)
plans = Plans(config, stop=sys.exit)
lock = folder_lock()


report: "pipeline/report/captions/workflow.rst"


wildcard_constraints:
    dataset=r"[^/]+",
    backbone=r"[^/]+",
    study=r"[^/]+",
    run=r"[^/]+",
    further=r"[\w-]+",


rule all:
    default_target: True
    input:
        lambda _: plans.study("cifar10").ends,


for name in plans.files:

    rule:
        name:
            name
        input:
            lambda _, name=name: plans.study(name).ends,


include: "pipeline/rules/features.smk"
include: "pipeline/rules/heads.smk"
include: "pipeline/rules/comparison.smk"
include: "pipeline/rules/export.smk"


onstart:
    work_alone(lock, stop=sys.exit)
    check_downloads(plans.made(), stop=sys.exit)
    check_weights(plans.made(), stop=sys.exit)


onsuccess:
    show_results(plans.made(), since=started)
