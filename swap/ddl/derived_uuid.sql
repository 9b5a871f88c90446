-- The uuid of an integer: 58 bits of sha256(first secret, integer) are the tag, and the integer XOR 64 bits of sha256(second
-- secret, tag) is the body. So two integers never have one uuid, and who has the secrets can tell the integer from the uuid. The
-- other six bits say version 4.
-- Layout: 48 bits of the tag, the version, 10 bits of the tag, 2 bits of the body; the variant, 62 bits of the body.
DECLARE
    tag bigint := ('x' || encode(substr(sha256(secret_1 || int8send(given)), 1, 8), 'hex'))::bit(64)::bigint & -64513;
    body bigint := given # ('x' || encode(substr(sha256(secret_2 || int8send(tag)), 1, 8), 'hex'))::bit(64)::bigint;
BEGIN
    RETURN encode(int8send((tag & -65536) | 16384 | ((tag & 1023) << 2) | ((body >> 62) & 3))
                  || int8send((body & 4611686018427387903) | (-9223372036854775808)), 'hex')::uuid;
END
