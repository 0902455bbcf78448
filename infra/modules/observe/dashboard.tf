locals {
  # One graph: title, its metrics as CloudWatch writes them, statistic.
  graphs = concat(
    [
      { title = "Requests", stat = "Sum", metrics = [["AWS/ApplicationELB", "RequestCount", "LoadBalancer", var.balancer]] },
      { title = "Response time, p50 and p99", stat = "p99", metrics = [
        ["AWS/ApplicationELB", "TargetResponseTime", "LoadBalancer", var.balancer, { stat = "p50" }],
        ["AWS/ApplicationELB", "TargetResponseTime", "LoadBalancer", var.balancer],
      ] },
      { title = "Errors", stat = "Sum", metrics = [
        for name in ["HTTPCode_Target_4XX_Count", "HTTPCode_Target_5XX_Count", "HTTPCode_ELB_5XX_Count"] :
        ["AWS/ApplicationELB", name, "LoadBalancer", var.balancer]
      ] },
      { title = "CPU and memory of tasks, per cent", stat = "Maximum", metrics = [
        for name in ["CPUUtilization", "MemoryUtilization"] :
        ["AWS/ECS", name, "ClusterName", var.cluster, "ServiceName", var.service]
      ] },
    ],
    var.collector ? [
      { title = "Age of the oldest record that waits, seconds", stat = "Maximum", metrics = [
        ["Quintile", "quintile_records_lag_seconds", "service", var.prefix, "sink", var.sink]
      ] },
      { title = "Leads without a score or a record", stat = "Sum", metrics = [
        for name in ["quintile_shed_total", "quintile_records_dropped_total", "quintile_memory_refused_total"] :
        ["Quintile", name, "service", var.prefix]
      ] },
    ] : [],
    var.stream == null ? [] : [
      { title = "Firehose: age of the oldest record, seconds", stat = "Maximum", metrics = [
        ["AWS/Firehose", "DeliveryToS3.DataFreshness", "DeliveryStreamName", var.stream]
      ] },
    ],
  )
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.prefix

  dashboard_body = jsonencode({ widgets = [for place, graph in local.graphs : {
    type   = "metric"
    x      = place % 2 * 12
    y      = floor(place / 2) * 6
    width  = 12
    height = 6
    properties = {
      title   = graph.title
      region  = var.region
      view    = "timeSeries"
      stat    = graph.stat
      period  = 60
      metrics = graph.metrics
    }
  }] })
}
