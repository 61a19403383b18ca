"""The agent's findings in words: the one place where its codes become sentences, all marked for translation."""

from vpn.presenters.findings.sentences import (
    Names,
    failure_of,
    names_in,
    operation_summary,
    sentence_of,
    step_message,
    told_finding,
)

__all__ = ["Names", "failure_of", "names_in", "operation_summary", "sentence_of", "step_message", "told_finding"]
