# The task, its settings, its permissions, and the three ways to replace it.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  prefix     = "quintile-test"
  region     = "eu-central-1"
  account_id = "111122223333"
  image      = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/quintile-test@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  tasks      = { cpu = 1024, memory = 2048, min = 2, max = 6 }
  deployment = { strategy = "ROLLING", canary_percent = 10, bake = 10 }

  alarm_names                = ["quintile-test-p99", "quintile-test-target-5xx"]
  vpc_id                     = "vpc-0a1b2c3d"
  subnet_ids                 = ["subnet-a", "subnet-b"]
  balancer_security_group_id = "sg-balancer"
  balancer_arn_suffix        = "app/quintile-test/50dc6c495c0c9188"
  target_groups = {
    blue  = { arn = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:targetgroup/blue/1", arn_suffix = "targetgroup/blue/1" }
    green = { arn = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:targetgroup/green/2", arn_suffix = "targetgroup/green/2" }
  }
  rule_arn    = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:listener-rule/app/quintile-test/1/2/3"
  kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
  bucket      = "quintile-test-111122223333"
}

run "rolling" {
  module {
    source = "./modules/service"
  }

  assert {
    condition = (aws_ecs_task_definition.this["blue"].cpu == "1024" && aws_ecs_task_definition.this["blue"].memory == "2048"
    && aws_ecs_task_definition.this["blue"].runtime_platform[0].cpu_architecture == "ARM64" && aws_ecs_task_definition.this["blue"].network_mode == "awsvpc")
    error_message = "The size of docs/task-sizes.md, on arm64."
  }

  assert {
    condition     = length(jsondecode(aws_ecs_task_definition.this["blue"].container_definitions)) == 1
    error_message = "No collector unless asked for."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this["blue"].container_definitions)[0].readonlyRootFilesystem && jsondecode(aws_ecs_task_definition.this["blue"].container_definitions)[0].linuxParameters.capabilities.drop == ["ALL"] && jsondecode(aws_ecs_task_definition.this["blue"].container_definitions)[0].user == "65532:65532" && !jsondecode(aws_ecs_task_definition.this["blue"].container_definitions)[0].privileged
    error_message = "Read-only, no capability, not root."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this["blue"].container_definitions)[0].stopTimeout == 60 && jsondecode(aws_ecs_task_definition.this["blue"].container_definitions)[0].ulimits == [{ name = "nofile", softLimit = 65536, hardLimit = 65536 }]
    error_message = "Time to drain, and descriptors."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this["blue"].container_definitions)[0].healthCheck.command == ["CMD", "/quintile", "healthcheck"] && jsondecode(aws_ecs_task_definition.this["blue"].container_definitions)[0].mountPoints == [{ sourceVolume = "data", containerPath = "/data", readOnly = false }]
    error_message = "The program checks itself, and writes to /data alone."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this["blue"].container_definitions)[0].logConfiguration.options.mode == "non-blocking" && jsondecode(aws_ecs_task_definition.this["blue"].container_definitions)[0].logConfiguration.options["max-buffer-size"] == "4m"
    error_message = "The log never holds up the program."
  }

  assert {
    condition = { for one in jsondecode(aws_ecs_task_definition.this["blue"].container_definitions)[0].environment : one.name => one.value } == {
      QUINTILE_AWS__REGION           = "eu-central-1"
      QUINTILE_LOG__FORMAT           = "json"
      QUINTILE_RECORDS__DATA_DIR     = "/data"
      QUINTILE_RECORDS__ROLL_SECONDS = "30"
      QUINTILE_RECORDS__S3_URL       = "s3://quintile-test-111122223333/scores"
      QUINTILE_RECORDS__SINKS        = "s3"
      QUINTILE_SERVER__LISTEN        = "0.0.0.0:8080"
      QUINTILE_SERVER__PAGES         = "off"
      QUINTILE_SERVER__RECENT        = "off"
    }
    error_message = "Every setting, and no other: the program refuses what it does not know."
  }

  assert {
    condition = (aws_ecs_service.this["blue"].deployment_circuit_breaker[0].rollback && aws_ecs_service.this["blue"].alarms[0].rollback
    && aws_ecs_service.this["blue"].alarms[0].alarm_names == toset(["quintile-test-p99", "quintile-test-target-5xx"]))
    error_message = "Back to what ran before, when tasks fail or an alarm fires."
  }

  assert {
    condition     = aws_ecs_service.this["blue"].deployment_minimum_healthy_percent == 100 && aws_ecs_service.this["blue"].deployment_maximum_percent == 200 && !aws_ecs_service.this["blue"].enable_execute_command && !aws_ecs_service.this["blue"].network_configuration[0].assign_public_ip
    error_message = "New tasks first, no shell, no public address."
  }

  assert {
    condition     = length(aws_cloudformation_stack.canary) == 0 && length(aws_iam_role.balancer) == 0
    error_message = "Nothing of the canary."
  }

  assert {
    condition     = aws_appautoscaling_target.this["blue"].resource_id == "service/quintile-test/quintile-test" && aws_appautoscaling_target.this["blue"].min_capacity == 2 && aws_appautoscaling_target.this["blue"].max_capacity == 6
    error_message = "Two to six tasks of this service."
  }

  assert {
    condition = (one(aws_appautoscaling_policy.requests["blue"].target_tracking_scaling_policy_configuration).target_value == 1417740
    && one(one(aws_appautoscaling_policy.requests["blue"].target_tracking_scaling_policy_configuration).predefined_metric_specification).resource_label == "app/quintile-test/50dc6c495c0c9188/targetgroup/blue/1")
    error_message = "Half of 47,258 a second, of this target group."
  }

  assert {
    condition = { for statement in data.aws_iam_policy_document.task.statement : statement.sid => statement.resources } == {
      RecordsToTheBucket = toset(["arn:aws:s3:::quintile-test-111122223333/scores/*"])
      Key                = toset(["arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"])
    }
    error_message = "A task writes scores, and may do nothing else."
  }

  assert {
    condition     = flatten([for statement in data.aws_iam_policy_document.execution.statement : tolist(statement.resources) if statement.sid == "Image"]) == ["arn:aws:ecr:eu-central-1:111122223333:repository/quintile-test"]
    error_message = "Of all repositories its own alone."
  }
}

run "everything" {
  module {
    source = "./modules/service"
  }

  variables {
    collector_image = "public.ecr.aws/aws-observability/aws-otel-collector:v0.50.0"
    stream          = { name = "quintile-test-scores", arn = "arn:aws:firehose:eu-central-1:111122223333:deliverystream/quintile-test-scores" }
    models          = { store = true, default = "leads" }
    tokens          = { issuer = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Ab129faBb", client_id = "client", scope = "quintile/score" }
    api_keys        = true
  }

  assert {
    condition = { for one in jsondecode(aws_ecs_task_definition.this["blue"].container_definitions)[0].environment : one.name => one.value } == {
      QUINTILE_AUTH__API_KEYS           = "aws-secretsmanager:arn:aws:secretsmanager:eu-central-1:111122223333:secret:quintile-test/api-keys-AbCdEf"
      QUINTILE_AUTH__CLIENTS            = "client"
      QUINTILE_AUTH__ISSUER             = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Ab129faBb"
      QUINTILE_AUTH__METRICS            = "anyone"
      QUINTILE_AUTH__SCORE              = "authenticated"
      QUINTILE_AWS__REGION              = "eu-central-1"
      QUINTILE_LOG__FORMAT              = "json"
      QUINTILE_MODELS__DEFAULT          = "leads"
      QUINTILE_MODELS__STORE            = "s3://quintile-test-111122223333/models"
      QUINTILE_RECORDS__DATA_DIR        = "/data"
      QUINTILE_RECORDS__FIREHOSE_STREAM = "quintile-test-scores"
      QUINTILE_RECORDS__ROLL_SECONDS    = "30"
      QUINTILE_RECORDS__SINKS           = "firehose"
      QUINTILE_SERVER__LISTEN           = "0.0.0.0:8080"
      QUINTILE_SERVER__PAGES            = "off"
      QUINTILE_SERVER__RECENT           = "off"
    }
    error_message = "Every setting, and no other."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this["blue"].container_definitions)[1].name == "collector" && !jsondecode(aws_ecs_task_definition.this["blue"].container_definitions)[1].essential && jsondecode(aws_ecs_task_definition.this["blue"].container_definitions)[1].readonlyRootFilesystem
    error_message = "A collector whose end is not the task's."
  }

  assert {
    condition     = yamldecode(jsondecode(aws_ecs_task_definition.this["blue"].container_definitions)[1].environment[0].value).receivers.prometheus.config.scrape_configs[0].static_configs[0].labels == { service = "quintile-test" }
    error_message = "The dimension that alarms repeat."
  }

  assert {
    condition = { for statement in data.aws_iam_policy_document.task.statement : statement.sid => tolist(statement.resources)[0] } == {
      RecordsToFirehose     = "arn:aws:firehose:eu-central-1:111122223333:deliverystream/quintile-test-scores"
      Models                = "arn:aws:s3:::quintile-test-111122223333/models/*"
      NamesOfModels         = "arn:aws:s3:::quintile-test-111122223333"
      DecisionsOnModels     = "arn:aws:s3:::quintile-test-111122223333/models/*/.quintile/*"
      Key                   = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
      ApiKeys               = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:quintile-test/api-keys-AbCdEf"
      MetricsOfTheCollector = "arn:aws:logs:eu-central-1:111122223333:log-group:/mock:*"
    }
    error_message = "Each permission on one thing, none for scores in the bucket."
  }

  assert {
    condition     = aws_cloudwatch_log_group.metrics[0].name == yamldecode(jsondecode(aws_ecs_task_definition.this["blue"].container_definitions)[1].environment[0].value).exporters.awsemf.log_group_name
    error_message = "The collector writes to the group that is there."
  }
}

run "tokens_alone" {
  module {
    source = "./modules/service"
  }

  variables {
    tokens = { issuer = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Ab129faBb", client_id = "client", scope = "quintile/score" }
  }

  assert {
    condition     = { for one in jsondecode(aws_ecs_task_definition.this["blue"].container_definitions)[0].environment : one.name => one.value if startswith(one.name, "QUINTILE_AUTH__S") } == { QUINTILE_AUTH__SCORE = "scope:quintile/score" }
    error_message = "Scoring needs the scope."
  }
}

run "canary" {
  module {
    source = "./modules/service"
  }

  variables {
    deployment = { strategy = "CANARY", canary_percent = 5, bake = 15 }
  }

  assert {
    condition     = length(aws_ecs_service.this) == 0 && length(aws_appautoscaling_policy.requests) == 0 && length(aws_appautoscaling_policy.cpu) == 1
    error_message = "One service, from the template; scaled by CPU, because its target group changes."
  }

  assert {
    condition = (aws_cloudformation_stack.canary[0].parameters["CanaryPercent"] == "5" && aws_cloudformation_stack.canary[0].parameters["CanaryBakeMinutes"] == "15"
      && aws_cloudformation_stack.canary[0].parameters["BlueTargetGroup"] == var.target_groups["blue"].arn
      && aws_cloudformation_stack.canary[0].parameters["GreenTargetGroup"] == var.target_groups["green"].arn
      && aws_cloudformation_stack.canary[0].parameters["ListenerRule"] == var.rule_arn
    && aws_cloudformation_stack.canary[0].parameters["AlarmNames"] == "quintile-test-p99,quintile-test-target-5xx")
    error_message = "5 %, 15 minutes, both groups, the rule, the alarms."
  }

  assert {
    condition     = toset(keys(yamldecode(replace(aws_cloudformation_stack.canary[0].template_body, "/!(Ref|GetAtt) /", "")).Parameters)) == toset(keys(aws_cloudformation_stack.canary[0].parameters))
    error_message = "The template has the parameters that it is given."
  }

  assert {
    condition     = aws_iam_role_policy_attachment.balancer[0].policy_arn == "arn:aws:iam::aws:policy/AmazonECSInfrastructureRolePolicyForLoadBalancers"
    error_message = "AWS's own policy for what ECS does to the load balancer."
  }
}

run "weighted" {
  module {
    source = "./modules/service"
  }

  variables {
    deployment = {
      strategy       = "WEIGHTED"
      canary_percent = 10
      bake           = 10
      green_image    = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/quintile-test@sha256:1111111111111111111111111111111111111111111111111111111111111111"
    }
  }

  assert {
    condition     = { for slot, service in aws_ecs_service.this : service.name => one(service.load_balancer).target_group_arn } == { quintile-test = var.target_groups["blue"].arn, quintile-test-green = var.target_groups["green"].arn }
    error_message = "Two services, each with its target group."
  }

  assert {
    condition     = [for slot in ["blue", "green"] : substr(split("sha256:", jsondecode(aws_ecs_task_definition.this[slot].container_definitions)[0].image)[1], 0, 1)] == ["0", "1"]
    error_message = "Each with its image."
  }
}
