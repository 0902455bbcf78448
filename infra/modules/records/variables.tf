variable "prefix" {
  description = "First part of all names."
  type        = string
}

variable "region" {
  description = "The AWS region."
  type        = string
}

variable "account_id" {
  description = "The AWS account; part of the bucket's name, which is unique in the world."
  type        = string
}

variable "partition" {
  description = "aws, aws-cn or aws-us-gov."
  type        = string
  default     = "aws"
}

variable "firehose" {
  description = "Make a delivery stream that writes Parquet. Without it the program's own sink s3 does."
  type        = bool
}

variable "columns_file" {
  description = "What `quintile records schema --format glue` printed. null: the demo model's columns."
  type        = string
  default     = null
}

variable "first_day" {
  description = "The first day that Athena looks at, as 2026-01-01."
  type        = string
  default     = "2026-01-01"
}

variable "days" {
  description = "Days until a file of scores is removed. null: never."
  type        = number
  default     = null
}

variable "force_destroy" {
  description = "Whether `terraform destroy` may delete the bucket with what is in it."
  type        = bool
  default     = false
}

variable "permissions_boundary" {
  description = "Boundary of every role, or null."
  type        = string
  default     = null
}
