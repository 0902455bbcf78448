environment       = "prod"
region            = "eu-central-1"
image             = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/quintile-prod@sha256:0000000000000000000000000000000000000000000000000000000000000000" # the pipeline's
certificate_arn   = "arn:aws:acm:eu-central-1:111122223333:certificate/00000000-0000-0000-0000-000000000000"                                                # yours
allowed_networks  = ["203.0.113.0/24"]                                                                                                                      # yours
github_repository = "example/quintile"                                                                                                                      # yours
state_bucket      = "example-terraform-state"                                                                                                               # yours
alarm_email       = "leads@example.com"                                                                                                                     # yours

tasks           = { cpu = 1024, memory = 2048, min = 2, max = 6 }
deployment      = { strategy = "CANARY", canary_percent = 10, bake = 10 }
features        = { waf = true, firehose = true }
models          = { store = true }
collector_image = "public.ecr.aws/aws-observability/aws-otel-collector:v0.50.0" # by digest in your own registry
