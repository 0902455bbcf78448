output "dns_name" {
  description = "The load balancer's name: what your own name is a CNAME or alias of."
  value       = aws_lb.this.dns_name
}

output "zone_id" {
  description = "Its hosted zone, for an alias record."
  value       = aws_lb.this.zone_id
}

output "arn_suffix" {
  description = "The load balancer in metrics."
  value       = aws_lb.this.arn_suffix
}

output "security_group_id" {
  description = "Who may connect to tasks."
  value       = aws_security_group.balancer.id
}

output "target_groups" {
  description = "blue and green: arn and arn_suffix."
  value       = { for name, group in aws_lb_target_group.this : name => { arn = group.arn, arn_suffix = group.arn_suffix } }

  # ECS refuses a service whose target group no load balancer has.
  depends_on = [aws_lb_listener_rule.by_hand, aws_lb_listener_rule.by_ecs]
}

output "rule_arn" {
  description = "The listener's rule that forwards to tasks."
  value       = one(concat(aws_lb_listener_rule.by_hand[*].arn, aws_lb_listener_rule.by_ecs[*].arn))
}

output "issuer" {
  description = "`iss` of tokens, or null."
  value       = one(module.cognito[*].issuer)
}

output "client_id" {
  description = "The client of machines, or null."
  value       = one(module.cognito[*].client_id)
}

output "scope" {
  description = "The scope that scoring needs, or null."
  value       = one(module.cognito[*].scope)
}

output "token_url" {
  description = "Where a machine asks for its token, or null."
  value       = one(module.cognito[*].token_url)
}
