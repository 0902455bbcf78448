variable "prefix" {
  description = "First part of all names, and the dimension `service` of the program's own metrics."
  type        = string
}

variable "region" {
  description = "The AWS region."
  type        = string
}

variable "account_id" {
  description = "The AWS account."
  type        = string
}

variable "alarm_email" {
  description = "Who is told, or null."
  type        = string
  default     = null
}

variable "kms_key_arn" {
  description = "Encrypts notifications."
  type        = string
}

variable "balancer" {
  description = "The load balancer in metrics (arn_suffix)."
  type        = string
}

variable "target_groups" {
  description = "blue and green: arn and arn_suffix."
  type        = map(object({ arn = string, arn_suffix = string }))
}

variable "cluster" {
  description = "The cluster's name."
  type        = string
}

variable "service" {
  description = "The service's name."
  type        = string
}

variable "sink" {
  description = "Where records go: s3 or firehose."
  type        = string
}

variable "stream" {
  description = "The delivery stream's name, or null."
  type        = string
  default     = null
}

variable "collector" {
  description = "Whether the program's own metrics reach CloudWatch."
  type        = bool
}

variable "tasks_max" {
  description = "Tasks at which autoscaling can add no more."
  type        = number
}

variable "p99_seconds" {
  description = "Response time of targets, 99th percentile, beyond which an alarm fires. The replaced stack's promise was a second."
  type        = number
  default     = 0.25
}
