# The bucket, the table, the stream, the key.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  prefix     = "quintile-test"
  region     = "eu-central-1"
  account_id = "111122223333"
  firehose   = false
}

run "bucket_only" {
  module {
    source = "./modules/records"
  }

  assert {
    condition     = aws_s3_bucket.this.bucket == "quintile-test-111122223333" && !aws_s3_bucket.this.force_destroy
    error_message = "A name that is unique in the world; not deleted with its records."
  }

  assert {
    condition     = alltrue([aws_s3_bucket_public_access_block.this.block_public_acls, aws_s3_bucket_public_access_block.this.block_public_policy, aws_s3_bucket_public_access_block.this.ignore_public_acls, aws_s3_bucket_public_access_block.this.restrict_public_buckets])
    error_message = "Nothing is public."
  }

  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default[0].sse_algorithm == "aws:kms" && aws_kms_key.this.enable_key_rotation
    error_message = "Encrypted with our own key, which is renewed."
  }

  assert {
    condition = toset([for statement in data.aws_iam_policy_document.bucket.statement : "${statement.effect} ${one(statement.condition).variable}"]) == toset([
      "Deny aws:SecureTransport", "Deny s3:TlsVersion",
    ])
    error_message = "Without TLS 1.2 there is no access."
  }

  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.id] == ["uploads", "versions", "athena"] && aws_s3_bucket_lifecycle_configuration.this.rule[0].abort_incomplete_multipart_upload[0].days_after_initiation == 1
    error_message = "Incomplete uploads go after a day; scores stay."
  }

  assert {
    condition     = length(aws_kinesis_firehose_delivery_stream.scores) == 0 && length(aws_iam_role.firehose) == 0 && output.stream_name == null
    error_message = "No stream and no role for it."
  }

  assert {
    condition = (aws_glue_catalog_table.scores.parameters["storage.location.template"] == "s3://quintile-test-111122223333/scores/date=$${date}/hour=$${hour}/"
    && aws_glue_catalog_table.scores.parameters["projection.date.range"] == "2026-01-01,NOW")
    error_message = "Athena finds partitions where the sinks put them."
  }

  assert {
    condition     = aws_glue_catalog_table.scores.storage_descriptor[0].columns[0].name == "record_id" && length(aws_glue_catalog_table.scores.storage_descriptor[0].columns) == 68 && [for key in aws_glue_catalog_table.scores.partition_keys : key.name] == ["date", "hour"]
    error_message = "18 columns of each record and 50 features of the demo model."
  }

  assert {
    condition     = one(aws_athena_workgroup.this.configuration).enforce_workgroup_configuration && one(aws_athena_workgroup.this.configuration).result_configuration[0].encryption_configuration[0].encryption_option == "SSE_KMS"
    error_message = "Results of queries are encrypted, whatever the client asks."
  }

  assert {
    condition     = length(aws_athena_named_query.records) == 10 && alltrue([for query in aws_athena_named_query.records : length(query.description) > 10 && !startswith(query.description, "--")])
    error_message = "Ten queries, each with its first line as its description."
  }
}

run "days" {
  module {
    source = "./modules/records"
  }

  variables {
    days = 30
  }

  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.expiration[0].days if rule.id == "scores"] == [30]
    error_message = "Scores go after 30 days where that was asked for."
  }
}

run "stream" {
  module {
    source = "./modules/records"
  }

  variables {
    firehose = true
  }

  assert {
    condition     = aws_kinesis_firehose_delivery_stream.scores[0].name == "quintile-test-scores" && output.stream_arn == "arn:aws:firehose:eu-central-1:111122223333:deliverystream/quintile-test-scores"
    error_message = "The ARN that the task's policy names is that of the stream."
  }

  assert {
    condition = (one(aws_kinesis_firehose_delivery_stream.scores[0].extended_s3_configuration).compression_format == "UNCOMPRESSED"
    && one(aws_kinesis_firehose_delivery_stream.scores[0].extended_s3_configuration).buffering_size >= 64)
    error_message = "What conversion to Parquet demands."
  }

  assert {
    condition     = one(aws_kinesis_firehose_delivery_stream.scores[0].extended_s3_configuration).prefix == "scores/date=!{timestamp:yyyy-MM-dd}/hour=!{timestamp:HH}/"
    error_message = "The same folders as the program's own sink makes."
  }

  assert {
    condition     = strcontains(one(aws_kinesis_firehose_delivery_stream.scores[0].extended_s3_configuration).error_output_prefix, "!{firehose:error-output-type}")
    error_message = "Firehose refuses an error prefix without the type."
  }

  assert {
    condition     = one(aws_kinesis_firehose_delivery_stream.scores[0].server_side_encryption).key_type == "CUSTOMER_MANAGED_CMK"
    error_message = "Encrypted while they wait, too."
  }

  assert {
    condition     = toset(flatten([for statement in data.aws_iam_policy_document.firehose.statement : statement.resources if statement.sid == "Files"])) == toset(["arn:aws:s3:::quintile-test-111122223333/scores/*", "arn:aws:s3:::quintile-test-111122223333/errors/*"])
    error_message = "Firehose writes to its two prefixes alone."
  }
}
