-- An index's expressions over an empty table: it shows whether the server can plan them.
SELECT {expression} FROM {table} WHERE {condition}
