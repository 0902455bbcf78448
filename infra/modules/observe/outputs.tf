output "topic_arn" {
  description = "Where alarms are sent."
  value       = aws_sns_topic.alarms.arn
}

output "alarm_names" {
  description = "Every alarm."
  value       = [for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_name]
}

# Not those of targets: a target that starts is unhealthy for a moment, and ECS watches health by itself.
output "deployment_alarm_names" {
  description = "Alarms that take a deployment back."
  value       = [for name in ["p99", "target-5xx", "balancer-5xx"] : aws_cloudwatch_metric_alarm.this[name].alarm_name]
}
