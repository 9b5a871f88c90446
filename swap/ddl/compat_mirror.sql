-- The last of the BEFORE triggers: whatever the guard before it has put into the key, the other name says the same.
BEGIN
{fired_by}    NEW.{other} := NEW.{key};
    RETURN NEW;
END
