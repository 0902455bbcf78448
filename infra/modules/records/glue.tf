# The table over scores/, whoever writes it: the program's sink s3 or Firehose. Athena finds partitions by projection, so
# nothing adds one each hour.

locals {
  columns  = jsondecode(file(coalesce(var.columns_file, "${path.module}/columns.json")))
  location = "s3://${aws_s3_bucket.this.bucket}/scores/"
}

resource "aws_glue_catalog_database" "this" {
  name        = replace(var.prefix, "-", "_")
  description = "Records of ${var.prefix}"
}

resource "aws_glue_catalog_table" "scores" {
  name          = "scores"
  database_name = aws_glue_catalog_database.this.name
  table_type    = "EXTERNAL_TABLE"

  parameters = {
    classification              = "parquet"
    "projection.enabled"        = "true"
    "projection.date.type"      = "date"
    "projection.date.format"    = "yyyy-MM-dd"
    "projection.date.range"     = "${var.first_day},NOW"
    "projection.hour.type"      = "integer"
    "projection.hour.range"     = "0,23"
    "projection.hour.digits"    = "2"
    "storage.location.template" = "${local.location}date=$${date}/hour=$${hour}/"
    "quintile.schema_version"   = "3"
    "quintile.made_by"          = "quintile records schema --format glue"
  }

  partition_keys {
    name = "date"
    type = "string"
  }
  partition_keys {
    name = "hour"
    type = "string"
  }

  storage_descriptor {
    location      = local.location
    input_format  = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
    output_format = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"

    ser_de_info {
      serialization_library = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
    }

    dynamic "columns" {
      for_each = local.columns

      content {
        name    = columns.value.Name
        type    = columns.value.Type
        comment = columns.value.Comment
      }
    }
  }
}

resource "aws_athena_workgroup" "this" {
  name          = var.prefix
  description   = "Queries on the records of ${var.prefix}"
  force_destroy = var.force_destroy

  configuration {
    enforce_workgroup_configuration    = true
    publish_cloudwatch_metrics_enabled = true
    # A query that forgets to name a date stops here: 100 GB scanned are half a dollar.
    bytes_scanned_cutoff_per_query = 100 * 1000 * 1000 * 1000

    result_configuration {
      output_location       = "s3://${aws_s3_bucket.this.bucket}/athena/"
      expected_bucket_owner = var.account_id

      encryption_configuration {
        encryption_option = "SSE_KMS"
        kms_key_arn       = aws_kms_key.this.arn
      }
    }
  }
}

# docs/records.md's queries, in Athena's words.
resource "aws_athena_named_query" "records" {
  for_each = fileset("${path.module}/queries", "*.sql")

  name        = trimsuffix(each.key, ".sql")
  description = trimprefix(split("\n", file("${path.module}/queries/${each.key}"))[0], "-- ")
  workgroup   = aws_athena_workgroup.this.id
  database    = aws_glue_catalog_database.this.name
  query       = file("${path.module}/queries/${each.key}")
}
