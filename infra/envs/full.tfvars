# Everything that there is, for those who want to see it once.
environment       = "full"
region            = "eu-central-1"
image             = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/quintile-full@sha256:0000000000000000000000000000000000000000000000000000000000000000" # the pipeline's
certificate_arn   = "arn:aws:acm:eu-central-1:111122223333:certificate/00000000-0000-0000-0000-000000000000"                                                # yours
allowed_networks  = ["0.0.0.0/0"]                                                                                                                           # callers have tokens or keys
github_repository = "example/quintile"                                                                                                                      # yours
state_bucket      = "example-terraform-state"                                                                                                               # yours
alarm_email       = "leads@example.com"                                                                                                                     # yours

tasks      = { cpu = 1024, memory = 2048, min = 2, max = 10 }
deployment = { strategy = "CANARY", canary_percent = 5, bake = 15 }
features = {
  waf                = true
  private_endpoints  = true
  firehose           = true
  cognito            = true
  sagemaker_endpoint = true
}
api_keys        = true
models          = { store = true }
collector_image = "public.ecr.aws/aws-observability/aws-otel-collector:v0.50.0" # by digest in your own registry
