    IF NOT swap_known AND (NEW.{leader} IS NOT NULL OR NEW.{follower} IS NOT NULL) THEN
        INSERT INTO {pairs} (number, value) VALUES ({number}, coalesce(NEW.{leader}::text, NEW.{follower}::text))
        ON CONFLICT DO NOTHING;
    END IF;
