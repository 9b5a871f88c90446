"""Every statement that swap runs, as data, one module per kind of object. Pure.

`phases` is the one list of what runs in which order.
"""
