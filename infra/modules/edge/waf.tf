# AWS WAF in front of the load balancer. It is billed by the request, so it is a switch.

locals {
  # In the order of evaluation. `count` names rules that are only counted.
  managed = {
    AWSManagedRulesAmazonIpReputationList = { priority = 10, count = [] }
    AWSManagedRulesKnownBadInputsRuleSet  = { priority = 20, count = [] }
    # SizeRestrictions_BODY refuses bodies over 8 KB, which every batch of leads is. The program has its own limits.
    AWSManagedRulesCommonRuleSet = { priority = 30, count = ["SizeRestrictions_BODY"] }
  }
}

resource "aws_wafv2_web_acl" "this" {
  #checkov:skip=CKV_AWS_192:the rule group for Log4j is in local.managed, which checkov does not follow into `dynamic`
  #checkov:skip=CKV2_AWS_31:the log is aws_wafv2_web_acl_logging_configuration.this below, which checkov does not connect across count
  count = var.waf ? 1 : 0

  name        = var.prefix
  description = "In front of the load balancer of ${var.prefix}"
  scope       = "REGIONAL"

  default_action {
    allow {}
  }

  rule {
    name     = "rate-of-an-address"
    priority = 0

    action {
      block {
        custom_response {
          response_code = 429
        }
      }
    }

    statement {
      rate_based_statement {
        limit                 = var.requests_per_address
        aggregate_key_type    = "IP"
        evaluation_window_sec = 300
      }
    }

    visibility_config {
      metric_name                = "rate-of-an-address"
      cloudwatch_metrics_enabled = true
      sampled_requests_enabled   = false
    }
  }

  dynamic "rule" {
    for_each = local.managed

    content {
      name     = rule.key
      priority = rule.value.priority

      override_action {
        none {}
      }

      statement {
        managed_rule_group_statement {
          vendor_name = "AWS"
          name        = rule.key

          dynamic "rule_action_override" {
            for_each = rule.value.count

            content {
              name = rule_action_override.value

              action_to_use {
                count {}
              }
            }
          }
        }
      }

      visibility_config {
        metric_name                = rule.key
        cloudwatch_metrics_enabled = true
        # Samples would keep bodies of leads.
        sampled_requests_enabled = false
      }
    }
  }

  visibility_config {
    metric_name                = var.prefix
    cloudwatch_metrics_enabled = true
    sampled_requests_enabled   = false
  }
}

resource "aws_wafv2_web_acl_association" "this" {
  count = var.waf ? 1 : 0

  resource_arn = aws_lb.this.arn
  web_acl_arn  = aws_wafv2_web_acl.this[0].arn
}

resource "aws_cloudwatch_log_group" "waf" {
  count = var.waf ? 1 : 0

  # WAF accepts no name without this beginning.
  name              = "aws-waf-logs-${var.prefix}"
  retention_in_days = 365
  kms_key_id        = var.kms_key_arn
}

resource "aws_wafv2_web_acl_logging_configuration" "this" {
  count = var.waf ? 1 : 0

  resource_arn            = aws_wafv2_web_acl.this[0].arn
  log_destination_configs = [aws_cloudwatch_log_group.waf[0].arn]

  redacted_fields {
    single_header {
      name = "authorization"
    }
  }
  redacted_fields {
    single_header {
      name = "x-api-key"
    }
  }

  # Requests that passed are not logged: at 300 a second they would be 778 million lines a month.
  logging_filter {
    default_behavior = "DROP"

    filter {
      behavior    = "KEEP"
      requirement = "MEETS_ANY"

      condition {
        action_condition {
          action = "BLOCK"
        }
      }
      condition {
        action_condition {
          action = "COUNT"
        }
      }
    }
  }
}
