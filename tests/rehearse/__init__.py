"""`swap rehearse`, `swap report` and the pin."""
