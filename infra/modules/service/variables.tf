variable "prefix" {
  description = "First part of all names."
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

variable "image" {
  description = "The image, by digest."
  type        = string
}

variable "collector_image" {
  description = "An OpenTelemetry collector with the exporter awsemf, or null."
  type        = string
  default     = null
}

variable "tasks" {
  description = "cpu, memory, min and max."
  type = object({
    cpu    = number
    memory = number
    min    = number
    max    = number
  })
}

variable "deployment" {
  description = "strategy, canary_percent, bake and green_image, as in the root."
  type = object({
    strategy       = string
    canary_percent = number
    bake           = number
    green_image    = optional(string)
  })
}

variable "alarm_names" {
  description = "Alarms that take a deployment back."
  type        = list(string)
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets."
  type        = list(string)
}

variable "balancer_security_group_id" {
  description = "Who may connect to tasks."
  type        = string
}

variable "balancer_arn_suffix" {
  description = "The load balancer in metrics."
  type        = string
}

variable "target_groups" {
  description = "blue and green: arn and arn_suffix."
  type        = map(object({ arn = string, arn_suffix = string }))
}

variable "rule_arn" {
  description = "The listener's rule, whose weights ECS moves with CANARY."
  type        = string
}

variable "kms_key_arn" {
  description = "Encrypts logs, the secret and files in the bucket."
  type        = string
}

variable "bucket" {
  description = "The bucket of records and models."
  type        = string
}

variable "stream" {
  description = "The delivery stream's name and ARN, or null: then the program writes to the bucket itself."
  type        = object({ name = string, arn = string })
  default     = null
}

variable "models" {
  description = "store: whether models come from models/ of the bucket. default: the model that POST /score means."
  type = object({
    store   = bool
    default = optional(string)
  })
  default = { store = false }
}

variable "tokens" {
  description = "issuer, client_id and scope of accepted tokens, or null."
  type = object({
    issuer    = string
    client_id = string
    scope     = string
  })
  default = null
}

variable "api_keys" {
  description = "Whether callers may use keys of a secret, which this module makes without a value."
  type        = bool
  default     = false
}

variable "permissions_boundary" {
  description = "Boundary of every role, or null."
  type        = string
  default     = null
}
