output "kms_key_arn" {
  description = "The environment's key."
  value       = aws_kms_key.this.arn
}

output "bucket" {
  description = "The bucket's name."
  value       = aws_s3_bucket.this.bucket
}

output "bucket_arn" {
  description = "The bucket."
  value       = aws_s3_bucket.this.arn
}

output "stream_name" {
  description = "The delivery stream's name, or null."
  value       = var.firehose ? aws_kinesis_firehose_delivery_stream.scores[0].name : null
}

output "stream_arn" {
  description = "The delivery stream, whether it was made or not."
  value       = local.stream_arn
}

output "database" {
  description = "The Glue database."
  value       = aws_glue_catalog_database.this.name
}

output "workgroup" {
  description = "The Athena workgroup."
  value       = aws_athena_workgroup.this.name
}
