"""Signals to the programs under test."""

import signal


def listen():
    """For subprocess's preexec_fn. A program keeps ignoring what was ignored when it began, as SIGHUP is below
    nohup and SIGINT in the background of a shell; the tests may run there."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
