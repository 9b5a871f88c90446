-- Slots that runs still read.
SELECT s.slot FROM {state}.stream s JOIN {state}.run r ON r.id = s.run_id WHERE r.phase::text NOT IN ('finalized', 'aborted')
