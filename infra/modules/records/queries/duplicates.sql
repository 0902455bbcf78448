-- Records that came twice in the last seven days: 0, unless a process was killed while it wrote
SELECT count(*) - count(DISTINCT record_id) AS duplicates
FROM scores
WHERE date >= date_format(now() - INTERVAL '7' DAY, '%Y-%m-%d') AND (role IS NULL OR role <> 'shadow')
