-- Rows and sum of the hashes of both sides.
SELECT a.n AS origin_rows, a.h AS origin_sum, b.n AS target_rows, b.h AS target_sum FROM ({origin}) a, ({target}) b
