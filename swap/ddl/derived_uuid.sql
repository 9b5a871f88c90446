-- The uuid of an integer: 58 bits of sha256(first secret, integer) are the tag, and the integer XOR 64 bits of sha256(second
-- secret, tag) is the body. So two integers never have one uuid, and who has the secrets can tell the integer from the uuid. The
-- other six bits say version 4.
-- Layout: 48 bits of the tag, the version, 10 bits of the tag, 2 bits of the body; the variant, 62 bits of the body.
-- Every name has its schema: a SET of the function would cost a seventh of it.
DECLARE
    tag bigint := {tag} OPERATOR(pg_catalog.&) -64513;
    body bigint := given OPERATOR(pg_catalog.#) {mask};
BEGIN
    RETURN pg_catalog.encode(
        pg_catalog.int8send((tag OPERATOR(pg_catalog.&) -65536) OPERATOR(pg_catalog.|) 16384
            OPERATOR(pg_catalog.|) ((tag OPERATOR(pg_catalog.&) 1023) OPERATOR(pg_catalog.<<) 2)
            OPERATOR(pg_catalog.|) ((body OPERATOR(pg_catalog.>>) 62) OPERATOR(pg_catalog.&) 3))
        OPERATOR(pg_catalog.||)
        pg_catalog.int8send((body OPERATOR(pg_catalog.&) 4611686018427387903) OPERATOR(pg_catalog.|) (-9223372036854775808)),
        'hex')::pg_catalog.uuid;
END
