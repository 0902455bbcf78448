# Lines of JSON in, Parquet out. The partition is the hour of arrival in UTC, which a retried record reaches later than
# the hour in its column `time`.

locals {
  stream_name = "${var.prefix}-scores"
  # Known before the stream exists, so that the service's policy can name it.
  stream_arn = "arn:${var.partition}:firehose:${var.region}:${var.account_id}:deliverystream/${local.stream_name}"
}

data "aws_iam_policy_document" "firehose_trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["firehose.amazonaws.com"]
    }
    # Nobody else's stream may use the role.
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account_id]
    }
  }
}

data "aws_iam_policy_document" "firehose" {
  statement {
    sid       = "Files"
    actions   = ["s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"]
    resources = ["${aws_s3_bucket.this.arn}/scores/*", "${aws_s3_bucket.this.arn}/errors/*"]
  }

  statement {
    sid       = "Bucket"
    actions   = ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"]
    resources = [aws_s3_bucket.this.arn]
  }

  statement {
    sid       = "Key"
    actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
    resources = [aws_kms_key.this.arn]
  }

  statement {
    sid     = "Schema"
    actions = ["glue:GetTable", "glue:GetTableVersion", "glue:GetTableVersions"]
    resources = [
      "arn:${var.partition}:glue:${var.region}:${var.account_id}:catalog",
      aws_glue_catalog_database.this.arn,
      aws_glue_catalog_table.scores.arn,
    ]
  }

  statement {
    sid       = "Faults"
    actions   = ["logs:PutLogEvents"]
    resources = ["arn:${var.partition}:logs:${var.region}:${var.account_id}:log-group:/${var.prefix}/firehose:*"]
  }
}

resource "aws_iam_role" "firehose" {
  count = var.firehose ? 1 : 0

  name                 = "${var.prefix}-firehose"
  assume_role_policy   = data.aws_iam_policy_document.firehose_trust.json
  permissions_boundary = var.permissions_boundary
}

resource "aws_iam_role_policy" "firehose" {
  count = var.firehose ? 1 : 0

  name   = "deliver"
  role   = aws_iam_role.firehose[0].id
  policy = data.aws_iam_policy_document.firehose.json
}

resource "aws_cloudwatch_log_group" "firehose" {
  count = var.firehose ? 1 : 0

  name              = "/${var.prefix}/firehose"
  retention_in_days = 365
  kms_key_id        = aws_kms_key.this.arn
}

resource "aws_cloudwatch_log_stream" "firehose" {
  count = var.firehose ? 1 : 0

  name           = "delivery"
  log_group_name = aws_cloudwatch_log_group.firehose[0].name
}

resource "aws_kinesis_firehose_delivery_stream" "scores" {
  count = var.firehose ? 1 : 0

  name        = local.stream_name
  destination = "extended_s3"

  server_side_encryption {
    enabled  = true
    key_type = "CUSTOMER_MANAGED_CMK"
    key_arn  = aws_kms_key.this.arn
  }

  extended_s3_configuration {
    role_arn    = aws_iam_role.firehose[0].arn
    bucket_arn  = aws_s3_bucket.this.arn
    kms_key_arn = aws_kms_key.this.arn

    prefix              = "scores/date=!{timestamp:yyyy-MM-dd}/hour=!{timestamp:HH}/"
    error_output_prefix = "errors/!{firehose:error-output-type}/date=!{timestamp:yyyy-MM-dd}/"

    # The least that conversion accepts is 64 MiB.
    buffering_size     = 128
    buffering_interval = 300
    # Parquet compresses by itself, and conversion accepts nothing else here.
    compression_format = "UNCOMPRESSED"

    cloudwatch_logging_options {
      enabled         = true
      log_group_name  = aws_cloudwatch_log_group.firehose[0].name
      log_stream_name = aws_cloudwatch_log_stream.firehose[0].name
    }

    data_format_conversion_configuration {
      input_format_configuration {
        deserializer {
          open_x_json_ser_de {}
        }
      }

      output_format_configuration {
        serializer {
          parquet_ser_de {
            compression = "SNAPPY"
          }
        }
      }

      schema_configuration {
        role_arn      = aws_iam_role.firehose[0].arn
        region        = var.region
        database_name = aws_glue_catalog_database.this.name
        table_name    = aws_glue_catalog_table.scores.name
      }
    }
  }

  depends_on = [aws_iam_role_policy.firehose]
}
