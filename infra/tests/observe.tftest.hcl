# Alarms and who is told.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  prefix      = "quintile-test"
  region      = "eu-central-1"
  account_id  = "111122223333"
  kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
  balancer    = "app/quintile-test/50dc6c495c0c9188"
  target_groups = {
    blue  = { arn = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:targetgroup/blue/1", arn_suffix = "targetgroup/blue/1" }
    green = { arn = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:targetgroup/green/2", arn_suffix = "targetgroup/green/2" }
  }
  cluster   = "quintile-test"
  service   = "quintile-test"
  sink      = "s3"
  collector = false
  tasks_max = 6
}

run "outside" {
  module {
    source = "./modules/observe"
  }

  assert {
    condition     = toset(keys(aws_cloudwatch_metric_alarm.this)) == toset(["p99", "target-5xx", "balancer-5xx", "tasks-at-max", "memory", "unhealthy-blue", "unhealthy-green"])
    error_message = "What can be measured without a collector."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["p99"].extended_statistic == "p99" && aws_cloudwatch_metric_alarm.this["p99"].statistic == null && aws_cloudwatch_metric_alarm.this["p99"].threshold == 0.25 && aws_cloudwatch_metric_alarm.this["p99"].dimensions == tomap({ LoadBalancer = "app/quintile-test/50dc6c495c0c9188" })
    error_message = "The 99th percentile of this load balancer, against a quarter of a second."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["unhealthy-green"].dimensions == tomap({ LoadBalancer = "app/quintile-test/50dc6c495c0c9188", TargetGroup = "targetgroup/green/2" })
    error_message = "Each target group for itself."
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_actions == toset([aws_sns_topic.alarms.arn]) && alarm.period == 60])
    error_message = "Each alarm is sent, and looks each minute."
  }

  assert {
    condition     = output.deployment_alarm_names == ["quintile-test-p99", "quintile-test-target-5xx", "quintile-test-balancer-5xx"]
    error_message = "What takes a deployment back."
  }

  assert {
    condition     = length(aws_sns_topic_subscription.email) == 0 && aws_sns_topic.alarms.kms_master_key_id == var.kms_key_arn
    error_message = "Nobody is told without an address; encrypted."
  }
}

run "inside" {
  module {
    source = "./modules/observe"
  }

  variables {
    alarm_email = "leads@example.com"
    collector   = true
    sink        = "firehose"
    stream      = "quintile-test-scores"
  }

  assert {
    condition     = length(setsubtract(["lag", "dead-letters", "shed", "dropped", "open-circuit", "drift", "spool", "keeper", "memory-refused", "reload-refused", "panics", "log-dropped", "no-metrics", "delivery", "conversion"], keys(aws_cloudwatch_metric_alarm.this))) == 0
    error_message = "What docs/operations.md says to alert on."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["lag"].namespace == "Quintile" && aws_cloudwatch_metric_alarm.this["lag"].dimensions == tomap({ service = "quintile-test", sink = "firehose" }) && aws_cloudwatch_metric_alarm.this["lag"].threshold == 300
    error_message = "The dimensions that the collector writes."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["no-metrics"].treat_missing_data == "breaching"
    error_message = "Silence is an alarm."
  }

  assert {
    condition     = aws_sns_topic_subscription.email[0].endpoint == "leads@example.com" && aws_sns_topic_subscription.email[0].protocol == "email"
    error_message = "Who is told."
  }

  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets) == 7
    error_message = "Four graphs, two of the program's own metrics, one of Firehose."
  }
}
