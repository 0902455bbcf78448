variable "prefix" {
  description = "First part of all names of the environment, and the repository's name."
  type        = string
}

variable "environment" {
  description = "The GitHub environment that may apply; ENVIRONMENT-plan may plan."
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

variable "partition" {
  description = "aws, aws-cn or aws-us-gov."
  type        = string
  default     = "aws"
}

variable "github_repository" {
  description = "OWNER/NAME."
  type        = string
}

variable "oidc_provider_arn" {
  description = "The account's OIDC provider for GitHub, or null to make it. An account can have it once."
  type        = string
  default     = null
}

variable "state_bucket" {
  description = "The bucket of Terraform's state; its key is PREFIX/terraform.tfstate."
  type        = string
}

variable "images_kept" {
  description = "Images that the repository keeps; with two architectures a release is three of them."
  type        = number
  default     = 60
}
