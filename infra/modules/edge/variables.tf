variable "prefix" {
  description = "First part of all names."
  type        = string
}

variable "region" {
  description = "The AWS region."
  type        = string
}

variable "account_id" {
  description = "The AWS account, in the name where tokens are asked for."
  type        = string
}

variable "vpc_id" {
  description = "The VPC of the target groups."
  type        = string
}

variable "cidr" {
  description = "Addresses of the VPC: where tasks are."
  type        = string
}

variable "subnet_ids" {
  description = "Public subnets, in two zones at least."
  type        = list(string)
}

variable "certificate_arn" {
  description = "The listener's certificate."
  type        = string
}

variable "allowed_networks" {
  description = "Networks that may connect."
  type        = list(string)
}

variable "green_weight" {
  description = "Share of requests, in per cent, that the listener's rule gives to the second target group."
  type        = number
  default     = 0
}

variable "weights_are_ecs_own" {
  description = "Whether ECS rewrites the weights (CANARY), which Terraform then leaves alone."
  type        = bool
  default     = false
}

variable "deregistration_delay" {
  description = "Seconds for which a target that is going away may finish requests: 30, or 60 where batches take long."
  type        = number
  default     = 30

  validation {
    condition     = var.deregistration_delay >= 30 && var.deregistration_delay <= 60
    error_message = "deregistration_delay: 30 to 60 seconds; a task itself drains in 25."
  }
}

variable "waf" {
  description = "Whether requests pass AWS WAF."
  type        = bool
}

variable "requests_per_address" {
  description = "Requests of one address in five minutes, beyond which WAF refuses it. One CRM at 300 a second sends 90,000."
  type        = number
  default     = 300000
}

variable "cognito" {
  description = "Whether a user pool gives machines their tokens."
  type        = bool
}

variable "access_log_bucket" {
  description = "A bucket for the access log, or null."
  type        = string
  default     = null
}

variable "kms_key_arn" {
  description = "Encrypts WAF's log."
  type        = string
}

variable "deletion_protection" {
  description = "Whether the load balancer and the user pool refuse to be deleted."
  type        = bool
  default     = true
}
