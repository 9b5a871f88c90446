"""Every statement there is, as data. Pure: one module per kind of object, and `phases`, the one list of what runs in which order."""
