-- Everything about one lead: put its id in place of lead-7
SELECT time, model, model_version, score, prediction, request_id
FROM scores
WHERE lead_id = 'lead-7' AND (role IS NULL OR role <> 'shadow')
ORDER BY time
