-- Slots that runs still read. A run that captures by triggers has a slot only after a change of its mode was killed.
SELECT s.slot FROM {state}.stream s JOIN {state}.run r ON r.id = s.run_id
WHERE r.phase::text NOT IN ('finalized', 'aborted') AND r.mode::text = 'logical'
