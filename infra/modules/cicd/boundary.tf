# The most that any role of this environment may ever do, whatever its own policy says: what tasks, Firehose, SageMaker,
# flow logs and ECS need.

data "aws_iam_policy_document" "boundary" {
  #checkov:skip=CKV_AWS_356:a boundary gives nothing; each role's own policy names resources
  #checkov:skip=CKV_AWS_111:the same
  #checkov:skip=CKV_AWS_107:the same
  #checkov:skip=CKV_AWS_108:the same
  #checkov:skip=CKV_AWS_109:the same
  statement {
    sid = "WhatRolesAreFor"
    actions = [
      "cloudwatch:PutMetricData",
      "ec2:CreateNetworkInterface", "ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterface",
      "ec2:DeleteNetworkInterfacePermission", "ec2:Describe*",
      "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetAuthorizationToken", "ecr:GetDownloadUrlForLayer",
      "elasticloadbalancing:DeregisterTargets", "elasticloadbalancing:Describe*", "elasticloadbalancing:ModifyListener",
      "elasticloadbalancing:ModifyRule", "elasticloadbalancing:RegisterTargets",
      "firehose:PutRecordBatch",
      "glue:GetTable", "glue:GetTableVersion", "glue:GetTableVersions",
      "kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey",
      "logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents",
    ]
    resources = ["*"]
  }

  statement {
    sid = "TheBucketAlone"
    actions = [
      "s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket",
      "s3:ListBucketMultipartUploads", "s3:PutObject",
    ]
    resources = ["${local.arn}:s3:::${var.prefix}-${var.account_id}", "${local.arn}:s3:::${var.prefix}-${var.account_id}/*"]
  }

  statement {
    sid       = "ItsSecretsAlone"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = ["${local.arn}:secretsmanager:${local.here}:secret:${var.prefix}/*"]
  }
}

resource "aws_iam_policy" "boundary" {
  name        = "${var.prefix}-boundary"
  description = "The most that a role of ${var.prefix} may do"
  policy      = data.aws_iam_policy_document.boundary.json
}
