# The cluster, the task and its settings. service.tf has the service, iam.tf what it may do.

locals {
  port   = 8080
  canary = var.deployment.strategy == "CANARY"
  # blue alone, or with WEIGHTED a second service of another image.
  images = merge({ blue = var.image }, var.deployment.strategy == "WEIGHTED" ? { green = var.deployment.green_image } : {})

  has_credentials = var.tokens != null || var.api_keys

  # Every variable is a key of docs/configuration.md: the program ends with 78 on one that it does not know.
  settings = merge(
    {
      QUINTILE_AWS__REGION           = var.region
      QUINTILE_LOG__FORMAT           = "json"
      QUINTILE_RECORDS__DATA_DIR     = "/data"
      QUINTILE_RECORDS__ROLL_SECONDS = "30"
      QUINTILE_RECORDS__SINKS        = var.stream == null ? "s3" : "firehose"
      QUINTILE_SERVER__LISTEN        = "0.0.0.0:${local.port}"
      QUINTILE_SERVER__PAGES         = "off"
      QUINTILE_SERVER__RECENT        = "off"
    },
    var.stream == null
    ? { QUINTILE_RECORDS__S3_URL = "s3://${var.bucket}/scores" }
    : { QUINTILE_RECORDS__FIREHOSE_STREAM = var.stream.name },
    var.models.store ? { QUINTILE_MODELS__STORE = "s3://${var.bucket}/models" } : {},
    var.models.default == null ? {} : { QUINTILE_MODELS__DEFAULT = var.models.default },
    var.tokens == null ? {} : {
      QUINTILE_AUTH__ISSUER  = var.tokens.issuer
      QUINTILE_AUTH__CLIENTS = var.tokens.client_id
      # A key has no scopes.
      QUINTILE_AUTH__SCORE = var.api_keys ? "authenticated" : "scope:${var.tokens.scope}"
    },
    var.api_keys ? { QUINTILE_AUTH__API_KEYS = "aws-secretsmanager:${module.api_keys[0].arn}" } : {},
    # The collector beside the program has no credential; the load balancer does not forward this path.
    local.has_credentials && var.collector_image != null ? { QUINTILE_AUTH__METRICS = "anyone" } : {},
  )
}

resource "aws_ecs_cluster" "this" {
  name = var.prefix

  setting {
    name  = "containerInsights"
    value = "enhanced"
  }
}

resource "aws_cloudwatch_log_group" "service" {
  name              = "/${var.prefix}/service"
  retention_in_days = 365
  kms_key_id        = var.kms_key_arn
}

# Metrics arrive here as lines in the embedded metric format.
resource "aws_cloudwatch_log_group" "metrics" {
  #checkov:skip=CKV_AWS_338:CloudWatch keeps the metrics themselves for 15 months; these lines are only their transport
  count = var.collector_image == null ? 0 : 1

  name              = "/${var.prefix}/metrics"
  retention_in_days = 7
  kms_key_id        = var.kms_key_arn
}

module "api_keys" {
  source = "./api_keys"
  count  = var.api_keys ? 1 : 0

  prefix      = var.prefix
  kms_key_arn = var.kms_key_arn
}

locals {
  log = { for container in ["quintile", "collector"] : container => {
    logDriver = "awslogs"
    options = {
      awslogs-group         = aws_cloudwatch_log_group.service.name
      awslogs-region        = var.region
      awslogs-stream-prefix = container
      # A log that cannot be sent must not hold up the program.
      mode            = "non-blocking"
      max-buffer-size = "4m"
    }
  } }

  hardening = {
    readonlyRootFilesystem = true
    privileged             = false
    linuxParameters        = { capabilities = { add = [], drop = ["ALL"] }, initProcessEnabled = false }
  }

  collector = var.collector_image == null ? [] : [merge(local.hardening, {
    name              = "collector"
    image             = var.collector_image
    essential         = false
    cpu               = 64
    memoryReservation = 128
    memory            = 256
    stopTimeout       = 60
    environment       = [{ name = "AOT_CONFIG_CONTENT", value = local.collector_config }]
    logConfiguration  = local.log["collector"]
    portMappings      = []
    mountPoints       = []
    volumesFrom       = []
    systemControls    = []
  })]

  containers = { for slot, image in local.images : slot => concat([merge(local.hardening, {
    name      = "quintile"
    image     = image
    essential = true
    cpu       = 0
    user      = "65532:65532"
    command   = ["serve"]
    # The program drains in 25 s and delivers in 20 (docs/operations.md).
    stopTimeout  = 60
    environment  = [for name in sort(keys(local.settings)) : { name = name, value = local.settings[name] }]
    portMappings = [{ containerPort = local.port, hostPort = local.port, protocol = "tcp", name = "http" }]
    # The only place to write: the spool, and files on their way to S3. The image has VOLUME /data, owned by 65532.
    mountPoints = [{ sourceVolume = "data", containerPath = "/data", readOnly = false }]
    ulimits     = [{ name = "nofile", softLimit = 65536, hardLimit = 65536 }]
    healthCheck = {
      command     = ["CMD", "/quintile", "healthcheck"]
      interval    = 10
      timeout     = 5
      retries     = 3
      startPeriod = 30
    }
    logConfiguration = local.log["quintile"]
    volumesFrom      = []
    systemControls   = []
  })], local.collector) }
}

resource "aws_ecs_task_definition" "this" {
  for_each = local.containers

  family                   = each.key == "blue" ? var.prefix : "${var.prefix}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.tasks.cpu
  memory                   = var.tasks.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn
  container_definitions    = jsonencode(each.value)

  # A fifth cheaper than x86, and the image has both.
  runtime_platform {
    cpu_architecture        = "ARM64"
    operating_system_family = "LINUX"
  }

  # The task's own disk: encrypted by AWS, gone with the task.
  volume {
    name = "data"
  }
}
