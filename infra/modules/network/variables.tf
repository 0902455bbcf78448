variable "prefix" {
  description = "First part of all names."
  type        = string
}

variable "region" {
  description = "The AWS region, for the names of endpoint services."
  type        = string
}

variable "cidr" {
  description = "Addresses of the VPC; a /16 to /20."
  type        = string
  default     = "10.42.0.0/16"
}

variable "zones" {
  description = "Number of availability zones. A load balancer needs two."
  type        = number
  default     = 2

  validation {
    condition     = var.zones >= 2 && var.zones <= 4
    error_message = "zones: 2 to 4."
  }
}

variable "private_endpoints" {
  description = "Reach AWS's services through interface endpoints."
  type        = bool
}

variable "nat" {
  description = "Whether private subnets reach the internet through one NAT gateway."
  type        = bool
}

variable "sagemaker" {
  description = "Whether tasks call a SageMaker endpoint, which then has an interface endpoint too."
  type        = bool
  default     = false
}

variable "kms_key_arn" {
  description = "Encrypts the flow log."
  type        = string
}

variable "permissions_boundary" {
  description = "Boundary of every role, or null."
  type        = string
  default     = null
}
