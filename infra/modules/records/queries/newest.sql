-- The newest records of today
SELECT time, lead_id, score, prediction, latency_us
FROM scores
WHERE date = date_format(now(), '%Y-%m-%d') AND (role IS NULL OR role <> 'shadow')
ORDER BY record_id DESC
LIMIT 10
