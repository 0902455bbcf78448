# The load balancer: HTTPS in, HTTP to the tasks of two target groups.

locals {
  port = 8080
}

resource "aws_security_group" "balancer" {
  name        = "${var.prefix}-balancer"
  description = "The load balancer: HTTP and HTTPS in, the tasks' port out"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.prefix}-balancer" }
}

resource "aws_vpc_security_group_ingress_rule" "https" {
  for_each = toset(var.allowed_networks)

  security_group_id = aws_security_group.balancer.id
  description       = "HTTPS"
  cidr_ipv4         = each.key
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "tasks" {
  security_group_id = aws_security_group.balancer.id
  description       = "Requests and health checks to tasks"
  cidr_ipv4         = var.cidr
  ip_protocol       = "tcp"
  from_port         = local.port
  to_port           = local.port
}

# Port 80 is closed on purpose: a client that was told http:// would send its key in the clear before any redirect.
# Clients call it from outside; allowed_networks says which may.
#trivy:ignore:AVD-AWS-0053
resource "aws_lb" "this" {
  #checkov:skip=CKV_AWS_91:its access log needs a bucket with the organisation's own policy; access_log_bucket names one
  #checkov:skip=CKV2_AWS_28:WAF costs $467 a month at 300 requests a second, so it is a choice (features.waf)
  #checkov:skip=CKV2_AWS_76:checkov does not see the rule group for known bad inputs in waf.tf, which a switch makes
  name               = var.prefix
  load_balancer_type = "application"
  internal           = false
  subnets            = var.subnet_ids
  security_groups    = [aws_security_group.balancer.id]

  # Below limits.idle_ms of the program (75 s), so that it is never the program that closes a connection in use.
  idle_timeout               = 60
  drop_invalid_header_fields = true
  desync_mitigation_mode     = "strictest"
  enable_deletion_protection = var.deletion_protection

  dynamic "access_logs" {
    for_each = var.access_log_bucket == null ? [] : [var.access_log_bucket]

    content {
      bucket  = access_logs.value
      prefix  = var.prefix
      enabled = true
    }
  }
}

resource "aws_lb_target_group" "this" {
  #checkov:skip=CKV_AWS_378:TLS ends at the load balancer; behind it are private subnets in which only it may connect to tasks
  for_each = toset(["blue", "green"])

  name        = "${var.prefix}-${each.key}"
  vpc_id      = var.vpc_id
  target_type = "ip"
  protocol    = "HTTP"
  port        = local.port

  # All leads cost the same; batches do not, and this sends the next request to the task that has fewest.
  load_balancing_algorithm_type = "least_outstanding_requests"
  deregistration_delay          = var.deregistration_delay

  health_check {
    path                = "/readyz"
    matcher             = "200"
    interval            = 5
    timeout             = 2
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.this.arn
  protocol          = "HTTPS"
  port              = 443
  certificate_arn   = var.certificate_arn
  # TLS 1.2 with forward secrecy, and 1.3.
  ssl_policy = "ELBSecurityPolicy-TLS13-1-2-2021-06"

  default_action {
    type = "fixed-response"

    fixed_response {
      content_type = "application/json"
      message_body = jsonencode({ error = { code = "not_found", message = "there is nothing at this path" } })
      status_code  = "404"
    }
  }
}

# Only what clients use. Metrics, pages and models stay inside.
locals {
  paths = ["/score", "/score/*", "/v1/schema", "/openapi.json", "/healthz"]
}

resource "aws_lb_listener_rule" "by_hand" {
  count = var.weights_are_ecs_own ? 0 : 1

  listener_arn = aws_lb_listener.https.arn
  priority     = 100

  condition {
    path_pattern {
      values = local.paths
    }
  }

  action {
    type = "forward"

    forward {
      target_group {
        arn    = aws_lb_target_group.this["blue"].arn
        weight = 100 - var.green_weight
      }
      target_group {
        arn    = aws_lb_target_group.this["green"].arn
        weight = var.green_weight
      }
    }
  }
}

resource "aws_lb_listener_rule" "by_ecs" {
  count = var.weights_are_ecs_own ? 1 : 0

  listener_arn = aws_lb_listener.https.arn
  priority     = 100

  condition {
    path_pattern {
      values = local.paths
    }
  }

  action {
    type = "forward"

    forward {
      target_group {
        arn    = aws_lb_target_group.this["blue"].arn
        weight = 100
      }
      target_group {
        arn    = aws_lb_target_group.this["green"].arn
        weight = 0
      }
    }
  }

  # ECS moves the weights during a deployment and leaves the other group in use after it.
  lifecycle {
    ignore_changes = [action]
  }
}

module "cognito" {
  source = "./cognito"
  count  = var.cognito ? 1 : 0

  prefix              = var.prefix
  region              = var.region
  domain              = "${var.prefix}-${var.account_id}"
  deletion_protection = var.deletion_protection
}
