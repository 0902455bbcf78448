-- The mean of a few features by score, today
SELECT score, count(DISTINCT record_id) AS leads, avg(f1) AS f1, avg(f2) AS f2, avg(f8) AS f8
FROM scores
WHERE date = date_format(now(), '%Y-%m-%d') AND (role IS NULL OR role <> 'shadow')
GROUP BY score
ORDER BY score
