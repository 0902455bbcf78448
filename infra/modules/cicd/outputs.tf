output "repository_url" {
  description = "The image repository: variable ECR_REPOSITORY of the GitHub environment."
  value       = aws_ecr_repository.this.repository_url
}

output "plan_role_arn" {
  description = "Variable AWS_ROLE of the GitHub environment ENVIRONMENT-plan."
  value       = aws_iam_role.github["plan"].arn
}

output "apply_role_arn" {
  description = "Variable AWS_ROLE of the GitHub environment ENVIRONMENT."
  value       = aws_iam_role.github["apply"].arn
}

output "oidc_provider_arn" {
  description = "GitHub's provider in this account; give it to the account's other environments."
  value       = local.provider_arn
}

output "boundary_arn" {
  description = "The boundary of every role of this environment."
  value       = aws_iam_policy.boundary.arn
}
