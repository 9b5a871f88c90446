-- A TRUNCATE is an entry of its own: a null key.
BEGIN
    INSERT INTO {changes} (key) VALUES (NULL);
    RETURN NULL;
END
