-- A TRUNCATE is an entry of its own: a null key.
BEGIN
{fired_by}    INSERT INTO {changes} (key) VALUES (NULL);
    RETURN NULL;
END
