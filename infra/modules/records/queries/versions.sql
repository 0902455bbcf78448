-- The predictions of each model version in the last thirty days
SELECT model, model_version, min(time) AS since, count(DISTINCT record_id) AS leads, avg(prediction) AS mean,
       approx_percentile(prediction, 0.1) AS p10, approx_percentile(prediction, 0.5) AS p50, approx_percentile(prediction, 0.9) AS p90
FROM scores
WHERE date >= date_format(now() - INTERVAL '30' DAY, '%Y-%m-%d') AND (role IS NULL OR role <> 'shadow')
GROUP BY model, model_version
ORDER BY since
