output "cluster" {
  description = "The cluster's name."
  value       = aws_ecs_cluster.this.name
}

output "service" {
  description = "The service's name."
  value       = var.prefix
}

output "task_security_group_id" {
  description = "The tasks' security group."
  value       = aws_security_group.task.id
}

output "task_definition" {
  description = "Family and revision of the task definition."
  value       = aws_ecs_task_definition.this["blue"].arn
}

output "task_role_arn" {
  description = "What the program is to AWS."
  value       = aws_iam_role.task.arn
}

output "api_keys_secret" {
  description = "Where to put API keys, or null."
  value       = one(module.api_keys[*].arn)
}
