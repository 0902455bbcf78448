variable "prefix" {
  description = "First part of all names."
  type        = string
}

variable "region" {
  description = "The AWS region."
  type        = string
}

variable "domain" {
  description = "First part of the name under amazoncognito.com, which no other account of the region may have."
  type        = string
}

variable "deletion_protection" {
  description = "Whether the pool refuses to be deleted."
  type        = bool
  default     = true
}
