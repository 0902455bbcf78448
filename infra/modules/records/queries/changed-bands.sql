-- Leads that were scored more than once in the last seven days and whose band changed
SELECT lead_id, count(DISTINCT record_id) AS times, array_agg(score ORDER BY time) AS scores
FROM scores
WHERE date >= date_format(now() - INTERVAL '7' DAY, '%Y-%m-%d') AND (role IS NULL OR role <> 'shadow')
GROUP BY lead_id
HAVING count(DISTINCT score) > 1
ORDER BY times DESC, lead_id
LIMIT 20
