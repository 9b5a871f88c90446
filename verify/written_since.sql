mod(s.xmin::text::bigint - {xid} + 4294967296, 4294967296) < 2147483648
