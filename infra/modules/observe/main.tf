# Who is told, of what. Each alarm has a runbook in docs/deploy.md under its own name.

resource "aws_sns_topic" "alarms" {
  name              = "${var.prefix}-alarms"
  kms_master_key_id = var.kms_key_arn
}

data "aws_iam_policy_document" "topic" {
  statement {
    sid       = "AlarmsOfThisAccount"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alarms.arn]
    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account_id]
    }
  }
}

resource "aws_sns_topic_policy" "alarms" {
  arn    = aws_sns_topic.alarms.arn
  policy = data.aws_iam_policy_document.topic.json
}

resource "aws_sns_topic_subscription" "email" {
  count = var.alarm_email == null ? 0 : 1

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.alarm_email
}

locals {
  balancer = { LoadBalancer = var.balancer }
  own      = { service = var.prefix }

  # What is measured outside of the tasks, in every environment. `missing` says what no data means.
  outside = {
    p99 = {
      about     = "The 99th percentile of response times is above ${var.p99_seconds} s"
      namespace = "AWS/ApplicationELB", metric = "TargetResponseTime", statistic = "p99", dimensions = local.balancer
      threshold = var.p99_seconds, comparison = "GreaterThanThreshold", periods = 3, missing = "notBreaching"
    }
    target-5xx = {
      about     = "Tasks answer 5xx"
      namespace = "AWS/ApplicationELB", metric = "HTTPCode_Target_5XX_Count", statistic = "Sum", dimensions = local.balancer
      threshold = 5, comparison = "GreaterThanThreshold", periods = 2, missing = "notBreaching"
    }
    balancer-5xx = {
      about     = "The load balancer answers 5xx itself: it reaches no task"
      namespace = "AWS/ApplicationELB", metric = "HTTPCode_ELB_5XX_Count", statistic = "Sum", dimensions = local.balancer
      threshold = 5, comparison = "GreaterThanThreshold", periods = 2, missing = "notBreaching"
    }
    tasks-at-max = {
      about      = "As many tasks as autoscaling may start: it can add no more"
      namespace  = "ECS/ContainerInsights", metric = "RunningTaskCount", statistic = "Minimum"
      dimensions = { ClusterName = var.cluster, ServiceName = var.service }
      threshold  = var.tasks_max, comparison = "GreaterThanOrEqualToThreshold", periods = 10, missing = "notBreaching"
    }
    memory = {
      about      = "Tasks use 85 % of their memory"
      namespace  = "AWS/ECS", metric = "MemoryUtilization", statistic = "Maximum"
      dimensions = { ClusterName = var.cluster, ServiceName = var.service }
      threshold  = 85, comparison = "GreaterThanThreshold", periods = 5, missing = "notBreaching"
    }
  }

  unhealthy = { for name, group in var.target_groups : "unhealthy-${name}" => {
    about      = "A ${name} target fails its health check"
    namespace  = "AWS/ApplicationELB", metric = "UnHealthyHostCount", statistic = "Maximum"
    dimensions = { LoadBalancer = var.balancer, TargetGroup = group.arn_suffix }
    threshold  = 0, comparison = "GreaterThanThreshold", periods = 3, missing = "notBreaching"
  } }

  # Sinks of the delivery stream's own: Firehose has the records, and the bucket does not.
  delivery = var.stream == null ? {} : {
    delivery = {
      about      = "Firehose holds records for more than 15 minutes"
      namespace  = "AWS/Firehose", metric = "DeliveryToS3.DataFreshness", statistic = "Maximum"
      dimensions = { DeliveryStreamName = var.stream }
      threshold  = 900, comparison = "GreaterThanThreshold", periods = 3, missing = "notBreaching"
    }
    conversion = {
      about      = "Firehose could not convert records: they are under errors/"
      namespace  = "AWS/Firehose", metric = "FailedConversion.Records", statistic = "Sum"
      dimensions = { DeliveryStreamName = var.stream }
      threshold  = 0, comparison = "GreaterThanThreshold", periods = 1, missing = "notBreaching"
    }
  }

  # What the program says of itself, through the collector.
  inside = !var.collector ? {} : {
    lag = {
      about     = "A record waits for more than 5 minutes for its sink"
      metric    = "quintile_records_lag_seconds", statistic = "Maximum", dimensions = merge(local.own, { sink = var.sink })
      threshold = 300, comparison = "GreaterThanThreshold", periods = 3, missing = "notBreaching"
    }
    dead-letters = {
      about     = "Records that the sink refuses for ever are on a task's disk, and go with the task"
      metric    = "quintile_records_dead_lettered_total", statistic = "Sum", dimensions = merge(local.own, { sink = var.sink })
      threshold = 0, comparison = "GreaterThanThreshold", periods = 1, missing = "notBreaching"
    }
    shed = {
      about     = "Leads are answered 503, because the spool is full"
      metric    = "quintile_shed_total", statistic = "Sum", dimensions = local.own
      threshold = 0, comparison = "GreaterThanThreshold", periods = 1, missing = "notBreaching"
    }
    dropped = {
      about     = "Leads are answered without a record"
      metric    = "quintile_records_dropped_total", statistic = "Sum", dimensions = local.own
      threshold = 0, comparison = "GreaterThanThreshold", periods = 1, missing = "notBreaching"
    }
    spool = {
      about     = "A task cannot write its spool"
      metric    = "quintile_spool_writable", statistic = "Minimum", dimensions = local.own
      threshold = 1, comparison = "LessThanThreshold", periods = 2, missing = "notBreaching"
    }
    keeper = {
      about     = "A task has no keeper process"
      metric    = "quintile_spool_keeper_up", statistic = "Minimum", dimensions = local.own
      threshold = 1, comparison = "LessThanThreshold", periods = 3, missing = "notBreaching"
    }
    memory-refused = {
      about     = "Requests are refused, because the memory for clients is used up"
      metric    = "quintile_memory_refused_total", statistic = "Sum", dimensions = local.own
      threshold = 0, comparison = "GreaterThanThreshold", periods = 2, missing = "notBreaching"
    }
    open-circuit = {
      about     = "The circuit to SageMaker is open"
      metric    = "quintile_remote_circuit", statistic = "Maximum", dimensions = merge(local.own, { state = "open" })
      threshold = 0, comparison = "GreaterThanThreshold", periods = 2, missing = "notBreaching"
    }
    drift = {
      about     = "Leads or scores differ from the model's reference"
      metric    = "quintile_drift_alerts_firing", statistic = "Maximum", dimensions = merge(local.own, { kind = "drift" })
      threshold = 0, comparison = "GreaterThanThreshold", periods = 1, missing = "notBreaching"
    }
    reload-refused = {
      about     = "A task refused a new model or configuration"
      metric    = "quintile_reloads_total", statistic = "Sum", dimensions = merge(local.own, { result = "refused" })
      threshold = 0, comparison = "GreaterThanThreshold", periods = 1, missing = "notBreaching"
    }
    panics = {
      about     = "A bug in the program was contained"
      metric    = "quintile_panics_total", statistic = "Sum", dimensions = local.own
      threshold = 0, comparison = "GreaterThanThreshold", periods = 1, missing = "notBreaching"
    }
    log-dropped = {
      about     = "Log lines are lost"
      metric    = "quintile_log_dropped_total", statistic = "Sum", dimensions = local.own
      threshold = 0, comparison = "GreaterThanThreshold", periods = 3, missing = "notBreaching"
    }
    # No metric for 15 minutes means that nothing above can fire.
    no-metrics = {
      about     = "The program's own metrics do not arrive"
      metric    = "quintile_spool_writable", statistic = "SampleCount", dimensions = local.own
      threshold = 1, comparison = "LessThanThreshold", periods = 15, missing = "breaching"
    }
  }

  alarms = merge(
    local.outside,
    local.unhealthy,
    local.delivery,
    { for name, alarm in local.inside : name => merge({ namespace = "Quintile" }, alarm) },
  )
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name        = "${var.prefix}-${each.key}"
  alarm_description = "${each.value.about}. What to do: docs/deploy.md#${each.key}"

  namespace   = each.value.namespace
  metric_name = each.value.metric
  dimensions  = each.value.dimensions
  # A percentile is named in a field of its own.
  statistic          = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic = startswith(each.value.statistic, "p") ? each.value.statistic : null

  period              = 60
  evaluation_periods  = each.value.periods
  datapoints_to_alarm = each.value.periods
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  treat_missing_data  = each.value.missing

  alarm_actions = [aws_sns_topic.alarms.arn]
  ok_actions    = [aws_sns_topic.alarms.arn]
}
