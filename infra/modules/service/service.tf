# The service. ROLLING and WEIGHTED are Terraform's own resource; CANARY is a CloudFormation template, because provider
# 5.100 does not know ECS's canary (docs/scope_decisions.md).

locals {
  service_names = { for slot in keys(local.images) : slot => slot == "blue" ? var.prefix : "${var.prefix}-${slot}" }
}

resource "aws_security_group" "task" {
  name        = "${var.prefix}-task"
  description = "Tasks: requests from the load balancer in, HTTPS to services out"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.prefix}-task" }
}

resource "aws_vpc_security_group_ingress_rule" "balancer" {
  security_group_id            = aws_security_group.task.id
  description                  = "The load balancer"
  referenced_security_group_id = var.balancer_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

# AWS's services have no fixed addresses; with private endpoints and no NAT gateway there is no way further anyway.
#trivy:ignore:AVD-AWS-0104
resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.task.id
  description       = "HTTPS to AWS: the image, records, models, logs, keys of tokens"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_ecs_service" "this" {
  for_each = local.canary ? {} : local.service_names

  name                               = each.value
  cluster                            = aws_ecs_cluster.this.arn
  task_definition                    = aws_ecs_task_definition.this[each.key].arn
  launch_type                        = "FARGATE"
  platform_version                   = "LATEST"
  desired_count                      = var.tasks.min
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = 30
  availability_zone_rebalancing      = "ENABLED"
  propagate_tags                     = "SERVICE"
  enable_execute_command             = false

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [aws_security_group.task.id]
    assign_public_ip = false
  }

  load_balancer {
    target_group_arn = var.target_groups[each.key].arn
    container_name   = "quintile"
    container_port   = local.port
  }

  # Tasks that do not become healthy, or an alarm: back to what ran before.
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  alarms {
    alarm_names = var.alarm_names
    enable      = true
    rollback    = true
  }

  lifecycle {
    # Autoscaling decides after the first deployment.
    ignore_changes = [desired_count]
  }
}

resource "aws_cloudformation_stack" "canary" {
  #checkov:skip=CKV_AWS_124:a stack of one service has nothing to say that the deployment's alarms do not
  count = local.canary ? 1 : 0

  name          = "${var.prefix}-service"
  template_body = file("${path.module}/service.cfn.yaml")

  parameters = {
    ServiceName       = var.prefix
    Cluster           = aws_ecs_cluster.this.arn
    TaskDefinition    = aws_ecs_task_definition.this["blue"].arn
    Subnets           = join(",", var.subnet_ids)
    SecurityGroup     = aws_security_group.task.id
    BlueTargetGroup   = var.target_groups["blue"].arn
    GreenTargetGroup  = var.target_groups["green"].arn
    ListenerRule      = var.rule_arn
    BalancerRole      = aws_iam_role.balancer[0].arn
    CanaryPercent     = var.deployment.canary_percent
    CanaryBakeMinutes = var.deployment.bake
    AlarmNames        = join(",", var.alarm_names)
  }

  # A canary waits for its bake time twice: for the first share, and for the rest.
  timeouts {
    create = "60m"
    update = "${60 + 3 * var.deployment.bake}m"
  }

  depends_on = [aws_iam_role_policy_attachment.balancer]
}

locals {
  resource_ids = { for slot, name in local.service_names : slot => "service/${aws_ecs_cluster.this.name}/${name}" }

  # Half of what docs/task-sizes.md measured with records and p99 under 10 ms, a minute. A size between two rows takes the
  # lower one's.
  requests_a_minute = {
    256  = 46260
    512  = 250620
    1024 = 1417740
    2048 = 1244970
  }
}

resource "aws_appautoscaling_target" "this" {
  for_each = local.resource_ids

  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = each.value
  min_capacity       = var.tasks.min
  max_capacity       = var.tasks.max

  depends_on = [aws_ecs_service.this, aws_cloudformation_stack.canary]
}

resource "aws_appautoscaling_policy" "cpu" {
  for_each = aws_appautoscaling_target.this

  name               = "cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = each.value.service_namespace
  scalable_dimension = each.value.scalable_dimension
  resource_id        = each.value.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = 50
    scale_out_cooldown = 30
    scale_in_cooldown  = 300

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}

# Not with CANARY: the metric belongs to one target group, and each deployment takes the other.
resource "aws_appautoscaling_policy" "requests" {
  for_each = local.canary ? {} : aws_appautoscaling_target.this

  name               = "requests"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = each.value.service_namespace
  scalable_dimension = each.value.scalable_dimension
  resource_id        = each.value.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = local.requests_a_minute[var.tasks.cpu]
    scale_out_cooldown = 30
    scale_in_cooldown  = 300

    predefined_metric_specification {
      predefined_metric_type = "ALBRequestCountPerTarget"
      resource_label         = "${var.balancer_arn_suffix}/${var.target_groups[each.key].arn_suffix}"
    }
  }
}
