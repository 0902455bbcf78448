-- How often features were missing today: one expression for each feature of your model
SELECT avg(if(f1 IS NULL, 1.0, 0.0)) AS f1, avg(if(f2 IS NULL, 1.0, 0.0)) AS f2, avg(if(f8 IS NULL, 1.0, 0.0)) AS f8
FROM scores
WHERE date = date_format(now(), '%Y-%m-%d') AND (role IS NULL OR role <> 'shadow')
