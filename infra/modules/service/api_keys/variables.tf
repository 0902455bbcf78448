variable "prefix" {
  description = "First part of the name."
  type        = string
}

variable "kms_key_arn" {
  description = "Encrypts the secret."
  type        = string
}
