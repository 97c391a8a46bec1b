"""Loggers: silent where a program sets up nothing, and heard where it does."""


def test_a_program_that_sets_up_no_logging_sees_nothing_and_one_that_does_hears(python):
    script = """
        import sys
        from mdstore.core.logs import logger
        logger("service").warning("nobody listens")
        import logging
        logging.basicConfig(stream=sys.stdout, format="%(name)s: %(message)s")
        logger("service").warning("somebody does")
    """
    done = python(script, check=False)
    assert (done.stdout, done.stderr) == ("mdstore.service: somebody does\n", "")


def test_every_logger_is_made_here():
    from tests.support.paths import ROOT

    made = [path for path in (ROOT / "mdstore").rglob("*.py") if "getLogger" in path.read_text()]
    assert [path.name for path in made] == ["logs.py"]
