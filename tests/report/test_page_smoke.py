import shutil

from sapwood.report.page import write_report


def test_smoke(recipe, make_run, tmp_path):
    run = make_run(recipe, moving=True)
    p = write_report(recipe, run)
    shutil.rmtree("/tmp/demo-moving", ignore_errors=True)
    shutil.copytree(run, "/tmp/demo-moving")


def test_static(recipe, make_run):
    run = make_run(recipe)
    write_report(recipe, run)
    shutil.rmtree("/tmp/demo-static", ignore_errors=True)
    shutil.copytree(run, "/tmp/demo-static")


def test_partial(recipe, make_run):
    run = make_run(recipe, "corpus", "tokens", "ledger", "metrics", "base", steps=60)
    write_report(recipe, run)
    shutil.rmtree("/tmp/demo-partial", ignore_errors=True)
    shutil.copytree(run, "/tmp/demo-partial")


def test_plan(recipe, make_run):
    run = make_run(recipe, "environment")
    write_report(recipe, run)
    shutil.rmtree("/tmp/demo-plan", ignore_errors=True)
    shutil.copytree(run, "/tmp/demo-plan")
