variable "name" {
  description = "The first part of every resource's name."
  type        = string
  default     = "quintile"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,14}[a-z0-9]$", var.name))
    error_message = "name: 3 to 16 of a-z, 0-9 and -, because a load balancer's name has at most 32 characters."
  }
}

variable "environment" {
  description = "The second part of every resource's name, and the name of the GitHub environment that deploys it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,8}$", var.environment))
    error_message = "environment: 2 to 9 of a-z and 0-9, as staging."
  }
}

variable "region" {
  description = "The AWS region."
  type        = string
}

variable "image" {
  description = "The image, by digest: REPOSITORY@sha256:… A tag is refused, because what runs must be what was scanned."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9./_:-]+@sha256:[0-9a-f]{64}$", var.image))
    error_message = "image: REPOSITORY@sha256: and 64 hexadecimal digits."
  }
}

variable "certificate_arn" {
  description = "The certificate of the load balancer's name, in ACM in the same region."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[0-9a-f-]+$", var.certificate_arn))
    error_message = "certificate_arn: arn:aws:acm:REGION:ACCOUNT:certificate/ID."
  }
}

variable "allowed_networks" {
  description = "Networks that may connect to the load balancer. The whole internet is accepted only where callers need a credential."
  type        = list(string)

  validation {
    condition     = length(var.allowed_networks) > 0 && alltrue([for network in var.allowed_networks : can(cidrhost(network, 0))])
    error_message = "allowed_networks: at least one network, as 203.0.113.0/24."
  }

  validation {
    condition     = !contains(var.allowed_networks, "0.0.0.0/0") || var.features.cognito || var.api_keys
    error_message = "allowed_networks: 0.0.0.0/0 without features.cognito and api_keys would let anybody score leads."
  }
}

variable "github_repository" {
  description = "OWNER/NAME of the repository whose workflows deploy. null: no image repository and no roles for GitHub."
  type        = string
  default     = null

  validation {
    condition     = var.github_repository == null || can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "github_repository: OWNER/NAME, without an address before it."
  }
}

variable "github_oidc_provider_arn" {
  description = "The account's OIDC provider for GitHub where another environment has made it; null makes it."
  type        = string
  default     = null
}

variable "state_bucket" {
  description = "The bucket of Terraform's state, which the roles for GitHub read and write. Needed with github_repository."
  type        = string
  default     = null

  validation {
    condition     = (var.state_bucket != null) || (var.github_repository == null)
    error_message = "state_bucket: the bucket that `terraform init` was given, because the roles for GitHub need it."
  }
}

variable "alarm_email" {
  description = "Who is told of alarms. null: the topic has no subscriber."
  type        = string
  default     = null
}

variable "tasks" {
  description = "Size and number of tasks; docs/task-sizes.md says what a size serves. cpu in units of 1/1024 vCPU, memory in MiB."
  type = object({
    cpu    = optional(number, 1024)
    memory = optional(number, 2048)
    min    = optional(number, 2)
    max    = optional(number, 6)
  })
  default = {}

  validation {
    condition = contains(lookup({
      "256"  = [512, 1024, 2048]
      "512"  = [1024, 2048, 3072, 4096]
      "1024" = [2048, 3072, 4096, 5120, 6144, 7168, 8192]
      "2048" = [4096, 5120, 6144, 7168, 8192, 9216, 10240, 11264, 12288, 13312, 14336, 15360, 16384]
    }, tostring(var.tasks.cpu), []), var.tasks.memory)
    error_message = "tasks: Fargate has no task with this cpu and memory; 1024 with 2048 is the size of docs/task-sizes.md."
  }

  validation {
    condition     = var.tasks.min >= 1 && var.tasks.max >= var.tasks.min
    error_message = "tasks: 1 <= min <= max."
  }
}

variable "deployment" {
  description = <<-EOT
    How a new task definition reaches the traffic.
    ROLLING: ECS replaces tasks and goes back if an alarm fires or tasks do not become healthy.
    CANARY: ECS moves canary_percent of the requests first, waits bake minutes, then the rest, with the same way back.
    WEIGHTED: a second service runs green_image, and canary_percent of the requests go there until somebody changes it.
  EOT
  type = object({
    strategy       = optional(string, "ROLLING")
    canary_percent = optional(number, 10)
    bake           = optional(number, 10)
    green_image    = optional(string)
  })
  default = {}

  validation {
    condition     = contains(["ROLLING", "CANARY", "WEIGHTED"], var.deployment.strategy)
    error_message = "deployment.strategy: ROLLING, CANARY or WEIGHTED."
  }

  validation {
    condition     = var.deployment.canary_percent >= 1 && var.deployment.canary_percent <= 99
    error_message = "deployment.canary_percent: 1 to 99."
  }

  validation {
    condition     = var.deployment.bake >= 0 && var.deployment.bake <= 1440
    error_message = "deployment.bake: 0 to 1440 minutes."
  }

  validation {
    condition     = (var.deployment.strategy == "WEIGHTED") == can(regex("@sha256:[0-9a-f]{64}$", var.deployment.green_image))
    error_message = "deployment.green_image: REPOSITORY@sha256:…, with strategy WEIGHTED and only there."
  }
}

variable "features" {
  description = "What costs extra or not everybody needs; docs/deploy.md has the prices."
  type = object({
    waf                = optional(bool, false)
    private_endpoints  = optional(bool, false)
    firehose           = optional(bool, false)
    cognito            = optional(bool, false)
    sagemaker_endpoint = optional(bool, false)
  })
  default = {}
}

variable "api_keys" {
  description = "Whether callers may use keys of a secret (auth.api_keys). Terraform makes the secret without a value."
  type        = bool
  default     = false
}

variable "models" {
  description = "store: whether tasks read models from models/ of the bucket instead of the image. default: the model that POST /score means."
  type = object({
    store   = optional(bool, false)
    default = optional(string)
  })
  default = {}
}

variable "record_columns_file" {
  description = "What `quintile records schema --format glue` printed for your model. null: the demo model's columns."
  type        = string
  default     = null
}

variable "records_days" {
  description = "Days until a file of scores is removed. null: never."
  type        = number
  default     = null
}

variable "collector_image" {
  description = "An OpenTelemetry collector with the exporter awsemf, beside each task. null: no metrics of the program itself, and no alarms on them."
  type        = string
  default     = null
}

variable "access_log_bucket" {
  description = "A bucket that may receive the load balancer's access log; its owner and policy are yours. null: no access log."
  type        = string
  default     = null
}

variable "deletion_protection" {
  description = "Whether the load balancer and the user pool refuse to be deleted. Set it to false and apply before you destroy."
  type        = bool
  default     = true
}
