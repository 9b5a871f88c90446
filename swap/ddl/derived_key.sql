-- The integer that a uuid was derived from; NULL for a uuid of another kind. See derived_uuid.sql.
DECLARE
    bytes bytea := uuid_send(given);
    high bigint := ('x' || encode(substr(bytes, 1, 8), 'hex'))::bit(64)::bigint;
    low bigint := ('x' || encode(substr(bytes, 9, 8), 'hex'))::bit(64)::bigint;
    tag bigint := (high & -65536) | ((high >> 2) & 1023);
    body bigint := ((high & 3) << 62) | (low & 4611686018427387903);
    found bigint;
BEGIN
    IF (high >> 12) & 15 <> 4 OR (low >> 62) & 3 <> 2 THEN
        RETURN NULL;
    END IF;
    found := body # ('x' || encode(substr(sha256(secret_2 || int8send(tag)), 1, 8), 'hex'))::bit(64)::bigint;
    IF ('x' || encode(substr(sha256(secret_1 || int8send(found)), 1, 8), 'hex'))::bit(64)::bigint & -64513 <> tag THEN
        RETURN NULL;
    END IF;
    RETURN found;
END
