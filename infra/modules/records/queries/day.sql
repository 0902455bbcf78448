-- Today's records without duplicates, for a download as CSV
SELECT *
FROM (
    SELECT scores.*, row_number() OVER (PARTITION BY record_id ORDER BY time) AS copy
    FROM scores
    WHERE date = date_format(now(), '%Y-%m-%d') AND (role IS NULL OR role <> 'shadow')
)
WHERE copy = 1
ORDER BY record_id
