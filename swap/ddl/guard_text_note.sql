    IF swap_mapped IS NULL THEN
        INSERT INTO {pairs} (number, value) VALUES ({number}, swap_key::text) ON CONFLICT DO NOTHING;
    END IF;
