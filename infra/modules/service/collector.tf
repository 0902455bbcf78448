# Beside each task, when var.collector_image names one: reads /metrics of the program and writes what alarms and the
# dashboard need to CloudWatch. The label `service` makes a fixed set of dimensions, which an alarm must repeat exactly.

locals {
  collector_config = yamlencode({
    receivers = {
      prometheus = {
        config = {
          scrape_configs = [{
            job_name        = "quintile"
            scrape_interval = "30s"
            static_configs  = [{ targets = ["127.0.0.1:${local.port}"], labels = { service = var.prefix } }]
            metric_relabel_configs = [{
              source_labels = ["__name__"]
              regex         = join("|", concat(local.metrics.plain, local.metrics.by_sink, local.metrics.by_state, local.metrics.by_kind, local.metrics.by_result))
              action        = "keep"
            }]
          }]
        }
      }
    }
    # The task's id, for the name of the log stream.
    processors = { resourcedetection = { detectors = ["ecs"] } }
    exporters = {
      awsemf = {
        region                  = var.region
        namespace               = "Quintile"
        log_group_name          = "/${var.prefix}/metrics"
        log_stream_name         = "{TaskId}"
        dimension_rollup_option = "NoDimensionRollup"
        metric_declarations = [
          { dimensions = [["service"]], metric_name_selectors = local.metrics.plain },
          { dimensions = [["service", "sink"]], metric_name_selectors = local.metrics.by_sink },
          { dimensions = [["service", "state"]], metric_name_selectors = local.metrics.by_state },
          { dimensions = [["service", "kind"]], metric_name_selectors = local.metrics.by_kind },
          { dimensions = [["service", "result"]], metric_name_selectors = local.metrics.by_result },
        ]
      }
    }
    service = {
      pipelines = { metrics = { receivers = ["prometheus"], processors = ["resourcedetection"], exporters = ["awsemf"] } }
      telemetry = { metrics = { level = "none" } }
    }
  })

  # Names of docs/operations.md, by their labels.
  metrics = {
    plain = [
      "quintile_log_dropped_total",
      "quintile_memory_refused_total",
      "quintile_panics_total",
      "quintile_records_dropped_total",
      "quintile_shed_total",
      "quintile_spool_keeper_up",
      "quintile_spool_writable",
    ]
    by_sink = [
      "quintile_dead_letter_bytes",
      "quintile_records_dead_lettered_total",
      "quintile_records_lag_seconds",
    ]
    by_state  = ["quintile_remote_circuit"]
    by_kind   = ["quintile_drift_alerts_firing"]
    by_result = ["quintile_reloads_total"]
  }
}
