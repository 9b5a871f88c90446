"""Every check before `prepare`, as findings; one module per subject."""
