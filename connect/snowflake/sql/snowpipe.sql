-- Snowpipe: Snowflake itself loads each file that the sink `s3` puts into the bucket. No program of ours runs.
--
-- Snowpipe remembers files, not records: a record that a crash of a server left in two files comes twice. So it loads
-- into a table of its own, and a view shows each record once. Where each score must stand once in a table, use
-- `quintile-snowflake load`.
--
-- Replace BUCKET, PREFIX and ACCOUNT_ID. Each statement says whether it was tried against fakesnow
-- (tests/test_warehouse_routes.py runs those) or not.

-- not tried: fakesnow has no integrations. DESC INTEGRATION prints the user and the external id for the role's trust.
CREATE STORAGE INTEGRATION QUINTILE_BUCKET
  TYPE = EXTERNAL_STAGE STORAGE_PROVIDER = 'S3' ENABLED = TRUE
  STORAGE_AWS_ROLE_ARN = 'arn:aws:iam::ACCOUNT_ID:role/snowflake-reads-scores'
  STORAGE_ALLOWED_LOCATIONS = ('s3://BUCKET/PREFIX/');

-- tried, with a folder in the place of the bucket and without the integration
CREATE STAGE QUINTILE_SCORES URL = 's3://BUCKET/PREFIX/' STORAGE_INTEGRATION = QUINTILE_BUCKET
  FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE);

-- SCORES_LOADED is what `quintile records schema --format snowflake` prints, with this name.
-- not tried: with ENABLE_SCHEMA_EVOLUTION the COPY of the pipe should add a column when a model has a new feature
ALTER TABLE SCORES_LOADED SET ENABLE_SCHEMA_EVOLUTION = TRUE;

-- not tried: fakesnow has no pipes. The COPY in it is tried by itself.
-- SHOW PIPES prints the queue (notification_channel) to which the bucket must send its events.
CREATE PIPE QUINTILE_SCORES_PIPE AUTO_INGEST = TRUE AS
COPY INTO SCORES_LOADED FROM @QUINTILE_SCORES
  FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE) MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE;

-- not tried: loads what was in the bucket before the pipe (files of the last seven days)
ALTER PIPE QUINTILE_SCORES_PIPE REFRESH;

-- tried
CREATE VIEW SCORES_ONCE AS
SELECT * FROM SCORES_LOADED
QUALIFY ROW_NUMBER() OVER (PARTITION BY "RECORD_ID" ORDER BY "TIME") = 1;
