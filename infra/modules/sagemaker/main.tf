# The same image behind a SageMaker endpoint, for callers who use its API. Requests and answers are captured to the bucket.

locals {
  arn        = "arn:${var.partition}"
  repository = try(regex("^([0-9]{12})\\.dkr\\.ecr\\.([a-z0-9-]+)\\.amazonaws\\.com[a-z.]*/([^@:]+)", var.image), ["", "", ""])
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["sagemaker.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account_id]
    }
  }
}

data "aws_iam_policy_document" "endpoint" {
  #checkov:skip=CKV_AWS_356:ecr:GetAuthorizationToken, cloudwatch:PutMetricData and the network interface calls have no resource
  #checkov:skip=CKV_AWS_111:the same
  #checkov:skip=CKV_AWS_109:the permission on a network interface is what SageMaker gives itself on its own
  statement {
    sid       = "Registry"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid       = "Image"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = ["${local.arn}:ecr:${local.repository[1]}:${local.repository[0]}:repository/${local.repository[2]}"]
  }

  statement {
    sid       = "Model"
    actions   = ["s3:GetObject"]
    resources = ["${local.arn}:s3:::${var.bucket}/models/sagemaker/*"]
  }

  statement {
    sid       = "Capture"
    actions   = ["s3:PutObject"]
    resources = ["${local.arn}:s3:::${var.bucket}/capture/*"]
  }

  statement {
    sid       = "Key"
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"]
    resources = [var.kms_key_arn]
  }

  statement {
    sid       = "KeyForDisks"
    actions   = ["kms:CreateGrant"]
    resources = [var.kms_key_arn]
    condition {
      test     = "Bool"
      variable = "kms:GrantIsForAWSResource"
      values   = ["true"]
    }
  }

  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = ["${local.arn}:logs:${var.region}:${var.account_id}:log-group:/aws/sagemaker/Endpoints/${var.prefix}*"]
  }

  statement {
    sid       = "Metrics"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"]
    condition {
      test     = "StringLike"
      variable = "cloudwatch:namespace"
      values   = ["/aws/sagemaker/*", "AWS/SageMaker*"]
    }
  }

  # An endpoint in a VPC makes its own network interfaces.
  statement {
    sid = "NetworkInterfaces"
    actions = [
      "ec2:CreateNetworkInterface", "ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterface",
      "ec2:DeleteNetworkInterfacePermission", "ec2:DescribeDhcpOptions", "ec2:DescribeNetworkInterfaces",
      "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs",
    ]
    resources = ["*"]
  }
}

resource "aws_iam_role" "endpoint" {
  name                 = "${var.prefix}-sagemaker"
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  permissions_boundary = var.permissions_boundary

  lifecycle {
    precondition {
      condition     = local.repository[0] != ""
      error_message = "features.sagemaker_endpoint: SageMaker pulls images from ECR only, and image is not there."
    }
  }
}

resource "aws_iam_role_policy" "endpoint" {
  name   = "serve"
  role   = aws_iam_role.endpoint.id
  policy = data.aws_iam_policy_document.endpoint.json
}

resource "aws_sagemaker_model" "this" {
  # Cannot be changed, so another image is another model.
  name                     = "${var.prefix}-${substr(sha256(var.image), 0, 8)}"
  execution_role_arn       = aws_iam_role.endpoint.arn
  enable_network_isolation = true

  primary_container {
    image          = var.image
    model_data_url = "s3://${var.bucket}/models/sagemaker/model.tar.gz"

    environment = {
      QUINTILE_MODEL__PATH    = "/opt/ml/model"
      QUINTILE_RECORDS__SINKS = "none"
      QUINTILE_LOG__FORMAT    = "json"
    }
  }

  vpc_config {
    subnets            = var.subnet_ids
    security_group_ids = [var.security_group_id]
  }

  lifecycle {
    create_before_destroy = true
  }

  depends_on = [aws_iam_role_policy.endpoint]
}

resource "aws_sagemaker_endpoint_configuration" "this" {
  name_prefix = "${var.prefix}-"
  kms_key_arn = var.kms_key_arn

  production_variants {
    variant_name           = "quintile"
    model_name             = aws_sagemaker_model.this.name
    instance_type          = var.instance_type
    initial_instance_count = var.instances
  }

  data_capture_config {
    enable_capture              = true
    initial_sampling_percentage = var.capture_percent
    destination_s3_uri          = "s3://${var.bucket}/capture/"
    kms_key_id                  = var.kms_key_arn

    capture_options {
      capture_mode = "Input"
    }
    capture_options {
      capture_mode = "Output"
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_sagemaker_endpoint" "this" {
  name                 = var.prefix
  endpoint_config_name = aws_sagemaker_endpoint_configuration.this.name
}
