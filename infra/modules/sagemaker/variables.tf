variable "prefix" {
  description = "First part of all names."
  type        = string
}

variable "account_id" {
  description = "The AWS account."
  type        = string
}

variable "partition" {
  description = "aws, aws-cn or aws-us-gov."
  type        = string
  default     = "aws"
}

variable "region" {
  description = "The AWS region."
  type        = string
}

variable "image" {
  description = "Our image in ECR, by digest: SageMaker pulls from nowhere else."
  type        = string
}

variable "bucket" {
  description = "The bucket: models/sagemaker/model.tar.gz is served, capture/ gets what was asked and answered."
  type        = string
}

variable "kms_key_arn" {
  description = "Encrypts captured data and the endpoint's disk."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets."
  type        = list(string)
}

variable "security_group_id" {
  description = "The endpoint's containers' security group: HTTPS out is enough."
  type        = string
}

variable "instance_type" {
  description = "An arm64 type, as the tasks are."
  type        = string
  default     = "ml.c7g.large"
}

variable "instances" {
  description = "How many; two, so that they lie in two zones."
  type        = number
  default     = 2
}

variable "capture_percent" {
  description = "Share of requests whose bodies and answers are kept."
  type        = number
  default     = 100
}

variable "permissions_boundary" {
  description = "Boundary of every role, or null."
  type        = string
  default     = null
}
