"""`swap rehearse`: the whole cycle on a clone, under load, and a report to decide by."""
