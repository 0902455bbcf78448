# The load balancer, its two target groups, WAF and tokens.

mock_provider "aws" {
  source = "./tests/mocks"
}

override_resource {
  target = aws_lb_target_group.this["green"]
  values = {
    arn        = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:targetgroup/quintile-test-green/0123456789abcdef"
    arn_suffix = "targetgroup/quintile-test-green/0123456789abcdef"
  }
}

variables {
  prefix           = "quintile-test"
  region           = "eu-central-1"
  account_id       = "111122223333"
  vpc_id           = "vpc-0a1b2c3d"
  cidr             = "10.42.0.0/16"
  subnet_ids       = ["subnet-a", "subnet-b"]
  certificate_arn  = "arn:aws:acm:eu-central-1:111122223333:certificate/00000000-0000-0000-0000-000000000000"
  allowed_networks = ["203.0.113.0/24"]
  waf              = false
  cognito          = false
  kms_key_arn      = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
}

run "plain" {
  module {
    source = "./modules/edge"
  }

  assert {
    condition     = aws_lb_listener.https.protocol == "HTTPS" && aws_lb_listener.https.port == 443 && aws_lb_listener.https.ssl_policy == "ELBSecurityPolicy-TLS13-1-2-2021-06"
    error_message = "HTTPS with TLS 1.2 and 1.3 is the only listener."
  }

  assert {
    condition     = aws_lb_listener.https.default_action[0].fixed_response[0].status_code == "404"
    error_message = "What no rule names is not forwarded: metrics and pages stay inside."
  }

  assert {
    condition     = toset([for condition in aws_lb_listener_rule.by_hand[0].condition : condition.path_pattern[0].values][0]) == toset(["/score", "/score/*", "/v1/schema", "/openapi.json", "/healthz"])
    error_message = "Only the paths of clients are forwarded."
  }

  assert {
    condition     = { for group in aws_lb_listener_rule.by_hand[0].action[0].forward[0].target_group : group.arn => group.weight } == { (aws_lb_target_group.this["blue"].arn) = 100, (aws_lb_target_group.this["green"].arn) = 0 }
    error_message = "All requests go to blue."
  }

  assert {
    condition = alltrue([for group in aws_lb_target_group.this :
      group.port == 8080 && group.target_type == "ip" && group.deregistration_delay == "30" && group.load_balancing_algorithm_type == "least_outstanding_requests"
    ])
    error_message = "Port 8080 of tasks' own addresses, 30 s to finish."
  }

  assert {
    condition = alltrue([for group in aws_lb_target_group.this :
      group.health_check[0].path == "/readyz" && group.health_check[0].interval == 5 && group.health_check[0].healthy_threshold == 2 && group.health_check[0].unhealthy_threshold == 2
    ])
    error_message = "/readyz every 5 s, two of a kind decide."
  }

  assert {
    condition     = aws_lb.this.idle_timeout == 60 && aws_lb.this.drop_invalid_header_fields && aws_lb.this.desync_mitigation_mode == "strictest" && aws_lb.this.enable_deletion_protection
    error_message = "Idle below the program's 75 s; strict about requests; not deleted by mistake."
  }

  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.https : "${rule.cidr_ipv4}:${rule.from_port}"] == ["203.0.113.0/24:443"]
    error_message = "Only the named networks, only HTTPS."
  }

  assert {
    condition     = length(aws_wafv2_web_acl.this) == 0 && output.issuer == null && output.token_url == null
    error_message = "No WAF and no tokens unless asked for."
  }
}

run "weights_by_hand" {
  module {
    source = "./modules/edge"
  }

  variables {
    green_weight = 15
  }

  assert {
    condition     = { for group in aws_lb_listener_rule.by_hand[0].action[0].forward[0].target_group : group.arn => group.weight } == { (aws_lb_target_group.this["blue"].arn) = 85, (aws_lb_target_group.this["green"].arn) = 15 }
    error_message = "15 of 100 requests go to green."
  }
}

run "weights_of_ecs" {
  module {
    source = "./modules/edge"
  }

  variables {
    weights_are_ecs_own = true
  }

  assert {
    condition     = length(aws_lb_listener_rule.by_hand) == 0 && length(aws_lb_listener_rule.by_ecs) == 1 && output.rule_arn == aws_lb_listener_rule.by_ecs[0].arn
    error_message = "The rule is the one whose weights Terraform leaves alone."
  }
}

run "waf" {
  module {
    source = "./modules/edge"
  }

  variables {
    waf = true
  }

  assert {
    condition     = toset([for rule in aws_wafv2_web_acl.this[0].rule : rule.name if rule.priority > 0]) == toset(["AWSManagedRulesAmazonIpReputationList", "AWSManagedRulesCommonRuleSet", "AWSManagedRulesKnownBadInputsRuleSet"])
    error_message = "Three of AWS's rule groups."
  }

  assert {
    condition = one(flatten([for rule in aws_wafv2_web_acl.this[0].rule : [
      for override in rule.statement[0].managed_rule_group_statement[0].rule_action_override : "${override.name} ${length(override.action_to_use[0].count)}"
    ] if rule.name == "AWSManagedRulesCommonRuleSet"])) == "SizeRestrictions_BODY 1"
    error_message = "Batches of more than 8 KB are counted, not refused."
  }

  assert {
    condition     = one([for rule in aws_wafv2_web_acl.this[0].rule : rule.statement[0].rate_based_statement[0].limit if rule.priority == 0]) > 90000
    error_message = "One CRM at 300 a second sends 90,000 in five minutes and passes."
  }

  assert {
    condition     = startswith(aws_cloudwatch_log_group.waf[0].name, "aws-waf-logs-") && toset(flatten([for field in aws_wafv2_web_acl_logging_configuration.this[0].redacted_fields : field.single_header[*].name])) == toset(["authorization", "x-api-key"])
    error_message = "WAF's log has the name that WAF wants, and no credential."
  }
}

run "tokens" {
  module {
    source = "./modules/edge"
  }

  variables {
    cognito = true
  }

  assert {
    condition     = output.issuer == "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Ab129faBb" && output.scope == "quintile/score"
    error_message = "What the program compares `iss` and scopes with."
  }

  assert {
    condition     = output.token_url == "https://quintile-test-111122223333.auth.eu-central-1.amazoncognito.com/oauth2/token"
    error_message = "Where machines ask for tokens."
  }
}

run "machines_only" {
  module {
    source = "./modules/edge/cognito"
  }

  variables {
    domain = "quintile-test-111122223333"
  }

  assert {
    condition     = toset(aws_cognito_user_pool_client.machine.allowed_oauth_flows) == toset(["client_credentials"]) && aws_cognito_user_pool_client.machine.generate_secret && aws_cognito_user_pool.this.admin_create_user_config[0].allow_admin_create_user_only
    error_message = "A client with a secret, for machines; nobody signs up."
  }
}

run "too_patient" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    deregistration_delay = 300
  }

  expect_failures = [var.deregistration_delay]
}
