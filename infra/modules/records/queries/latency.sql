-- How long scoring took today, in microseconds
SELECT approx_percentile(latency_us, 0.5) AS p50, approx_percentile(latency_us, 0.99) AS p99, approx_percentile(latency_us, 0.999) AS p999, max(latency_us) AS longest
FROM scores
WHERE date = date_format(now(), '%Y-%m-%d') AND (role IS NULL OR role <> 'shadow')
