-- The distribution of scores of the last seven days, by hour
SELECT date_trunc('hour', time) AS hour_of_day, score, count(DISTINCT record_id) AS leads, round(avg(prediction), 4) AS mean_prediction
FROM scores
WHERE date >= date_format(now() - INTERVAL '7' DAY, '%Y-%m-%d') AND (role IS NULL OR role <> 'shadow')
GROUP BY 1, 2
ORDER BY 1, 2
