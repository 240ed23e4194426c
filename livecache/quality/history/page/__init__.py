"""The report of a check as one page of HTML, with plots: no script, nothing loaded, every text escaped."""
