-- An external table: Snowflake reads the files where they are, at each query. Nothing is loaded, so nothing can be lost
-- or come twice by loading; queries are slower, and cost the reading of all files that their partitions do not rule out.
--
-- Add a line for each feature that you want. The stage is that of snowpipe.sql. Each statement says whether it was
-- tried against fakesnow (tests/test_warehouse_routes.py runs those) or not.

-- not tried: fakesnow has no external tables. The names of the columns are compared with those of the server's files.
CREATE EXTERNAL TABLE SCORES_IN_BUCKET (
  "DATE" DATE AS TO_DATE(SPLIT_PART(SPLIT_PART(METADATA$FILENAME, 'date=', 2), '/', 1)),
  "RECORD_ID" VARCHAR AS (VALUE:record_id::VARCHAR),
  "TIME" TIMESTAMP_TZ AS (VALUE:time::TIMESTAMP_TZ),
  "LEAD_ID" VARCHAR AS (VALUE:lead_id::VARCHAR),
  "MODEL" VARCHAR AS (VALUE:model::VARCHAR),
  "MODEL_VERSION" VARCHAR AS (VALUE:model_version::VARCHAR),
  "PREDICTION" DOUBLE AS (VALUE:prediction::DOUBLE),
  "SCORE" SMALLINT AS (VALUE:score::SMALLINT),
  "SOURCE" VARCHAR AS (VALUE:source::VARCHAR),
  "ROLE" VARCHAR AS (VALUE:role::VARCHAR),
  "F1" DOUBLE AS (VALUE:f1::DOUBLE)
)
PARTITION BY ("DATE") LOCATION = @QUINTILE_SCORES PATTERN = '.*[.]parquet' AUTO_REFRESH = TRUE
FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE);

-- tried, with a table of these columns in the place of the external one
CREATE VIEW ANSWERED AS
SELECT * FROM SCORES_IN_BUCKET
WHERE "ROLE" IS NULL OR "ROLE" <> 'shadow'
QUALIFY ROW_NUMBER() OVER (PARTITION BY "RECORD_ID" ORDER BY "TIME") = 1;

-- tried
SELECT "DATE", "SCORE", COUNT(*) AS LEADS FROM ANSWERED GROUP BY "DATE", "SCORE" ORDER BY "DATE", "SCORE";
