# execution: what ECS needs to start the task. task: what the program may do. balancer: what ECS may do to the load
# balancer during a canary.

locals {
  arn = "arn:${var.partition}"

  # The repositories of private images; others need no permission.
  repositories = [for parts in [for image in compact(concat(values(local.images), [var.collector_image])) :
    try(regex("^([0-9]{12})\\.dkr\\.ecr\\.([a-z0-9-]+)\\.amazonaws\\.com[a-z.]*/([^@:]+)", image), null)] :
  "${local.arn}:ecr:${parts[1]}:${parts[0]}:repository/${parts[2]}" if parts != null]
}

data "aws_iam_policy_document" "task_trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account_id]
    }
    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["${local.arn}:ecs:${var.region}:${var.account_id}:*"]
    }
  }
}

data "aws_iam_policy_document" "execution" {
  #checkov:skip=CKV_AWS_356:ecr:GetAuthorizationToken has no resource
  statement {
    sid       = "Registry"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  dynamic "statement" {
    for_each = length(local.repositories) == 0 ? [] : [local.repositories]

    content {
      sid       = "Image"
      actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      resources = distinct(statement.value)
    }
  }

  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.service.arn}:*"]
  }
}

resource "aws_iam_role" "execution" {
  name                 = "${var.prefix}-execution"
  assume_role_policy   = data.aws_iam_policy_document.task_trust.json
  permissions_boundary = var.permissions_boundary
}

resource "aws_iam_role_policy" "execution" {
  name   = "start"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
}

data "aws_iam_policy_document" "task" {
  dynamic "statement" {
    for_each = var.stream == null ? [] : [var.stream.arn]

    content {
      sid       = "RecordsToFirehose"
      actions   = ["firehose:PutRecordBatch"]
      resources = [statement.value]
    }
  }

  dynamic "statement" {
    for_each = var.stream == null ? ["${local.arn}:s3:::${var.bucket}/scores/*"] : []

    content {
      sid       = "RecordsToTheBucket"
      actions   = ["s3:PutObject", "s3:AbortMultipartUpload"]
      resources = [statement.value]
    }
  }

  dynamic "statement" {
    for_each = var.models.store ? [1] : []

    content {
      sid       = "Models"
      actions   = ["s3:GetObject"]
      resources = ["${local.arn}:s3:::${var.bucket}/models/*"]
    }
  }

  dynamic "statement" {
    for_each = var.models.store ? [1] : []

    content {
      sid       = "NamesOfModels"
      actions   = ["s3:ListBucket"]
      resources = ["${local.arn}:s3:::${var.bucket}"]

      condition {
        test     = "StringLike"
        variable = "s3:prefix"
        values   = ["models", "models/*"]
      }
    }
  }

  # Promotions and the way back, which a task decides by itself where models.rollback is set (docs/models-in-motion.md).
  dynamic "statement" {
    for_each = var.models.store ? [1] : []

    content {
      sid       = "DecisionsOnModels"
      actions   = ["s3:PutObject", "s3:DeleteObject"]
      resources = ["${local.arn}:s3:::${var.bucket}/models/*/.quintile/*"]
    }
  }

  statement {
    sid       = "Key"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.kms_key_arn]
  }

  dynamic "statement" {
    for_each = module.api_keys[*].arn

    content {
      sid       = "ApiKeys"
      actions   = ["secretsmanager:GetSecretValue"]
      resources = [statement.value]
    }
  }

  dynamic "statement" {
    for_each = aws_cloudwatch_log_group.metrics[*].arn

    content {
      sid       = "MetricsOfTheCollector"
      actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
      resources = ["${statement.value}:*"]
    }
  }
}

resource "aws_iam_role" "task" {
  name                 = "${var.prefix}-task"
  assume_role_policy   = data.aws_iam_policy_document.task_trust.json
  permissions_boundary = var.permissions_boundary
}

resource "aws_iam_role_policy" "task" {
  name   = "serve"
  role   = aws_iam_role.task.id
  policy = data.aws_iam_policy_document.task.json
}

data "aws_iam_policy_document" "balancer_trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ecs.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "balancer" {
  count = local.canary ? 1 : 0

  name                 = "${var.prefix}-ecs-balancer"
  assume_role_policy   = data.aws_iam_policy_document.balancer_trust.json
  permissions_boundary = var.permissions_boundary
}

resource "aws_iam_role_policy_attachment" "balancer" {
  count = local.canary ? 1 : 0

  role       = aws_iam_role.balancer[0].name
  policy_arn = "${local.arn}:iam::aws:policy/AmazonECSInfrastructureRolePolicyForLoadBalancers"
}
