output "url" {
  description = "The load balancer. Make your certificate's name a CNAME or alias of it."
  value       = module.edge.dns_name
}

output "zone_id" {
  description = "The load balancer's hosted zone, for an alias record."
  value       = module.edge.zone_id
}

output "bucket" {
  description = "Records are under scores/, models under models/."
  value       = module.records.bucket
}

output "athena" {
  description = "The workgroup and the database of the records."
  value       = { workgroup = module.records.workgroup, database = module.records.database }
}

output "cluster" {
  description = "The ECS cluster."
  value       = module.service.cluster
}

output "service" {
  description = "The ECS service."
  value       = module.service.service
}

output "alarms" {
  description = "The topic that alarms are sent to."
  value       = module.observe.topic_arn
}

output "tokens" {
  description = "Where a machine asks for its token, its client and the scope, or null."
  value       = var.features.cognito ? { url = module.edge.token_url, client_id = module.edge.client_id, scope = module.edge.scope } : null
}

output "api_keys_secret" {
  description = "The secret that API keys are put into, or null."
  value       = module.service.api_keys_secret
}

output "sagemaker_endpoint" {
  description = "The endpoint's name, or null."
  value       = one(module.sagemaker[*].endpoint)
}

output "github" {
  description = "Variables of the repository's GitHub environments, or null."
  value = var.github_repository == null ? null : {
    ecr_repository    = module.cicd[0].repository_url
    plan_role         = module.cicd[0].plan_role_arn
    apply_role        = module.cicd[0].apply_role_arn
    oidc_provider_arn = module.cicd[0].oidc_provider_arn
  }
}
