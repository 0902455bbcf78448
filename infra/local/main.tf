# The modules that a stand-in of AWS can hold, applied to it: README.md of this folder. Load balancers and ECS are not
# among them, because moto only lists those.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }
}

variable "endpoint" {
  description = "Where the stand-in listens."
  type        = string
  default     = "http://127.0.0.1:5000"
}

variable "account_id" {
  description = "The account that it pretends to be."
  type        = string
  default     = "123456789012"
}

locals {
  prefix = "quintile-local"
  region = "eu-central-1"
}

# The keys are no secret: the stand-in accepts any.
provider "aws" {
  region                      = local.region
  access_key                  = "testing"
  secret_key                  = "testing"
  s3_use_path_style           = true
  skip_credentials_validation = true
  skip_metadata_api_check     = true

  # moto knows no tags of a workgroup that has none.
  default_tags {
    tags = { environment = "local" }
  }

  endpoints {
    athena         = var.endpoint
    cloudwatch     = var.endpoint
    cloudwatchlogs = var.endpoint
    cognitoidp     = var.endpoint
    ecr            = var.endpoint
    firehose       = var.endpoint
    glue           = var.endpoint
    iam            = var.endpoint
    kms            = var.endpoint
    s3             = var.endpoint
    secretsmanager = var.endpoint
    sns            = var.endpoint
    sts            = var.endpoint
  }
}

module "cicd" {
  source = "../modules/cicd"

  prefix            = local.prefix
  environment       = "local"
  region            = local.region
  account_id        = var.account_id
  github_repository = "example/quintile"
  state_bucket      = "example-terraform-state"
}

module "records" {
  source = "../modules/records"

  prefix               = local.prefix
  region               = local.region
  account_id           = var.account_id
  firehose             = true
  force_destroy        = true
  permissions_boundary = module.cicd.boundary_arn
}

module "cognito" {
  source = "../modules/edge/cognito"

  prefix              = local.prefix
  region              = local.region
  domain              = "${local.prefix}-${var.account_id}"
  deletion_protection = false
}

module "api_keys" {
  source = "../modules/service/api_keys"

  prefix      = local.prefix
  kms_key_arn = module.records.kms_key_arn
}

module "observe" {
  source = "../modules/observe"

  prefix      = local.prefix
  region      = local.region
  account_id  = var.account_id
  alarm_email = "leads@example.com"
  kms_key_arn = module.records.kms_key_arn
  balancer    = "app/${local.prefix}/50dc6c495c0c9188"
  target_groups = {
    blue  = { arn = "arn:aws:elasticloadbalancing:${local.region}:${var.account_id}:targetgroup/blue/1", arn_suffix = "targetgroup/blue/1" }
    green = { arn = "arn:aws:elasticloadbalancing:${local.region}:${var.account_id}:targetgroup/green/2", arn_suffix = "targetgroup/green/2" }
  }
  cluster   = local.prefix
  service   = local.prefix
  sink      = "firehose"
  stream    = module.records.stream_name
  collector = true
  tasks_max = 6
}

output "bucket" {
  description = "The bucket of records."
  value       = module.records.bucket
}

output "stream" {
  description = "The delivery stream: records.firehose_stream."
  value       = module.records.stream_name
}

output "issuer" {
  description = "auth.issuer."
  value       = module.cognito.issuer
}

output "client_id" {
  description = "auth.clients."
  value       = module.cognito.client_id
}

output "user_pool_id" {
  description = "The pool, whose keys are at ENDPOINT/POOL/.well-known/jwks.json."
  value       = module.cognito.user_pool_id
}

output "api_keys_secret" {
  description = "auth.api_keys, after aws-secretsmanager:."
  value       = module.api_keys.arn
}

output "topic" {
  description = "Where alarms go."
  value       = module.observe.topic_arn
}

output "roles" {
  description = "The roles for GitHub."
  value       = { plan = module.cicd.plan_role_arn, apply = module.cicd.apply_role_arn }
}
