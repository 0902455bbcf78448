# What serves Quintile in one environment of one account. Each module is one concern; this file is who gets what of whom.

data "aws_caller_identity" "me" {}

data "aws_partition" "here" {}

locals {
  prefix     = "${var.name}-${var.environment}"
  account_id = data.aws_caller_identity.me.account_id
  partition  = data.aws_partition.here.partition
  boundary   = one(module.cicd[*].boundary_arn)
  collector  = var.collector_image != null
}

module "cicd" {
  source = "./modules/cicd"
  count  = var.github_repository == null ? 0 : 1

  prefix            = local.prefix
  environment       = var.environment
  region            = var.region
  account_id        = local.account_id
  partition         = local.partition
  github_repository = var.github_repository
  oidc_provider_arn = var.github_oidc_provider_arn
  state_bucket      = var.state_bucket
}

module "records" {
  source = "./modules/records"

  prefix               = local.prefix
  region               = var.region
  account_id           = local.account_id
  partition            = local.partition
  firehose             = var.features.firehose
  columns_file         = var.record_columns_file
  days                 = var.records_days
  permissions_boundary = local.boundary
}

module "network" {
  source = "./modules/network"

  prefix            = local.prefix
  region            = var.region
  private_endpoints = var.features.private_endpoints
  # With endpoints for everything that a task calls there is no need for a gateway to the internet, except for two things
  # that have none here: the keys of Cognito's tokens, and a collector's public image.
  nat                  = !var.features.private_endpoints || var.features.cognito || local.collector
  sagemaker            = var.features.sagemaker_endpoint
  kms_key_arn          = module.records.kms_key_arn
  permissions_boundary = local.boundary
}

module "edge" {
  source = "./modules/edge"

  prefix              = local.prefix
  region              = var.region
  account_id          = local.account_id
  vpc_id              = module.network.vpc_id
  cidr                = module.network.cidr
  subnet_ids          = module.network.public_subnet_ids
  certificate_arn     = var.certificate_arn
  allowed_networks    = var.allowed_networks
  green_weight        = var.deployment.strategy == "WEIGHTED" ? var.deployment.canary_percent : 0
  weights_are_ecs_own = var.deployment.strategy == "CANARY"
  waf                 = var.features.waf
  cognito             = var.features.cognito
  access_log_bucket   = var.access_log_bucket
  kms_key_arn         = module.records.kms_key_arn
  deletion_protection = var.deletion_protection
}

module "observe" {
  source = "./modules/observe"

  prefix        = local.prefix
  region        = var.region
  account_id    = local.account_id
  alarm_email   = var.alarm_email
  kms_key_arn   = module.records.kms_key_arn
  balancer      = module.edge.arn_suffix
  target_groups = module.edge.target_groups
  # By name, because the service needs the alarms' names first.
  cluster   = local.prefix
  service   = local.prefix
  sink      = var.features.firehose ? "firehose" : "s3"
  stream    = module.records.stream_name
  collector = local.collector
  tasks_max = var.tasks.max
}

module "service" {
  source = "./modules/service"

  prefix                     = local.prefix
  region                     = var.region
  account_id                 = local.account_id
  partition                  = local.partition
  image                      = var.image
  collector_image            = var.collector_image
  tasks                      = var.tasks
  deployment                 = var.deployment
  alarm_names                = module.observe.deployment_alarm_names
  vpc_id                     = module.network.vpc_id
  subnet_ids                 = module.network.private_subnet_ids
  balancer_security_group_id = module.edge.security_group_id
  balancer_arn_suffix        = module.edge.arn_suffix
  target_groups              = module.edge.target_groups
  rule_arn                   = module.edge.rule_arn
  kms_key_arn                = module.records.kms_key_arn
  bucket                     = module.records.bucket
  stream                     = var.features.firehose ? { name = module.records.stream_name, arn = module.records.stream_arn } : null
  models                     = var.models
  tokens = var.features.cognito ? {
    issuer    = module.edge.issuer
    client_id = module.edge.client_id
    scope     = module.edge.scope
  } : null
  api_keys             = var.api_keys
  permissions_boundary = local.boundary
}

module "sagemaker" {
  source = "./modules/sagemaker"
  count  = var.features.sagemaker_endpoint ? 1 : 0

  prefix               = local.prefix
  region               = var.region
  account_id           = local.account_id
  partition            = local.partition
  image                = var.image
  bucket               = module.records.bucket
  kms_key_arn          = module.records.kms_key_arn
  subnet_ids           = module.network.private_subnet_ids
  security_group_id    = module.service.task_security_group_id
  permissions_boundary = local.boundary
}
