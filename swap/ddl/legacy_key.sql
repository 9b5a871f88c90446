-- The sequence has ended, or has passed what the column holds.
BEGIN
    NEW.{column} := {default};
EXCEPTION WHEN sequence_generator_limit_exceeded OR numeric_value_out_of_range THEN
    LOOP
        NEW.{column} := nextval({spare}::regclass);
        EXIT WHEN NOT EXISTS (SELECT FROM {live} t WHERE t.{column} = NEW.{column});
    END LOOP;
END;
