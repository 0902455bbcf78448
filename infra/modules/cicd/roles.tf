# Two roles for GitHub's workflows, without any stored key: `plan` reads, `apply` changes what has this environment's
# name. The subject of a job's token is its GitHub environment, so that environment's own rules (branch, reviewers) are
# the gate.

locals {
  arn          = "arn:${var.partition}"
  here         = "${var.region}:${var.account_id}"
  provider_arn = coalesce(var.oidc_provider_arn, try(aws_iam_openid_connect_provider.github[0].arn, null))
  state        = "${local.arn}:s3:::${var.state_bucket}"
  key          = "${var.prefix}/terraform.tfstate"
  boundary_arn = "${local.arn}:iam::${var.account_id}:policy/${var.prefix}-boundary"
  roles        = "${local.arn}:iam::${var.account_id}:role/${var.prefix}-*"
  own = [
    "${local.arn}:iam::${var.account_id}:role/${var.prefix}-github-*",
    local.boundary_arn,
    "${local.arn}:iam::${var.account_id}:policy/${var.prefix}-github-*",
    local.provider_arn,
  ]
}

resource "aws_iam_openid_connect_provider" "github" {
  count = var.oidc_provider_arn == null ? 1 : 0

  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}

data "aws_iam_policy_document" "trust" {
  for_each = { plan = "${var.environment}-plan", apply = var.environment }

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {
      type        = "Federated"
      identifiers = [local.provider_arn]
    }
    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:aud"
      values   = ["sts.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:sub"
      values   = ["repo:${var.github_repository}:environment:${each.value}"]
    }
  }
}

resource "aws_iam_role" "github" {
  for_each = data.aws_iam_policy_document.trust

  name                 = "${var.prefix}-github-${each.key}"
  description          = "Workflows of ${var.github_repository}: ${each.key}"
  assume_role_policy   = each.value.json
  max_session_duration = 3600
}

# What Terraform reads to compare: configuration, never data. Records, models and the value of secrets are not in it.
data "aws_iam_policy_document" "read" {
  #checkov:skip=CKV_AWS_356:calls that describe have no resource in most of these services
  #checkov:skip=CKV_AWS_108:s3:GetObject is for Terraform's state alone
  statement {
    sid = "Configuration"
    actions = [
      "acm:DescribeCertificate", "acm:ListTagsForCertificate",
      "application-autoscaling:Describe*", "application-autoscaling:ListTagsForResource",
      "athena:GetNamedQuery", "athena:GetWorkGroup", "athena:ListTagsForResource",
      "cloudformation:DescribeStacks", "cloudformation:DescribeStackEvents", "cloudformation:GetTemplate",
      "cloudwatch:DescribeAlarms", "cloudwatch:GetDashboard", "cloudwatch:ListTagsForResource",
      "cognito-idp:Describe*", "cognito-idp:GetUserPoolMfaConfig", "cognito-idp:ListTagsForResource",
      "ec2:Describe*",
      "ecr:DescribeImages", "ecr:DescribeRepositories", "ecr:GetLifecyclePolicy", "ecr:ListTagsForResource",
      "ecs:Describe*", "ecs:ListTagsForResource",
      "elasticloadbalancing:Describe*",
      "firehose:DescribeDeliveryStream", "firehose:ListTagsForDeliveryStream",
      "glue:GetDatabase", "glue:GetTable", "glue:GetTags",
      "iam:GetOpenIDConnectProvider", "iam:GetPolicy", "iam:GetPolicyVersion", "iam:GetRole", "iam:GetRolePolicy",
      "iam:ListAttachedRolePolicies", "iam:ListPolicyVersions", "iam:ListRolePolicies",
      "kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListAliases", "kms:ListResourceTags",
      "logs:DescribeLogGroups", "logs:DescribeLogStreams", "logs:ListTagsForResource",
      "s3:GetAccelerateConfiguration", "s3:GetBucket*", "s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration",
      "s3:GetReplicationConfiguration", "s3:ListBucket",
      "sagemaker:Describe*", "sagemaker:ListTags",
      "secretsmanager:DescribeSecret", "secretsmanager:GetResourcePolicy",
      "sns:GetSubscriptionAttributes", "sns:GetTopicAttributes", "sns:ListTagsForResource",
      "sts:GetCallerIdentity",
      "wafv2:GetLoggingConfiguration", "wafv2:GetWebACL", "wafv2:GetWebACLForResource", "wafv2:ListTagsForResource",
    ]
    resources = ["*"]
  }

  statement {
    sid       = "State"
    actions   = ["s3:GetObject"]
    resources = ["${local.state}/${local.key}"]
  }

  statement {
    sid       = "Lock"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    resources = ["${local.state}/${local.key}.tflock"]
  }
}

resource "aws_iam_policy" "read" {
  name        = "${var.prefix}-github-read"
  description = "What Terraform reads"
  policy      = data.aws_iam_policy_document.read.json
}

resource "aws_iam_role_policy_attachment" "read" {
  for_each = aws_iam_role.github

  role       = each.value.name
  policy_arn = aws_iam_policy.read.arn
}

data "aws_iam_policy_document" "change" {
  #checkov:skip=CKV_AWS_356:calls that make things have no resource; what exists is named below, and the region is fixed
  #checkov:skip=CKV_AWS_111:the same
  #checkov:skip=CKV_AWS_109:roles are limited to the prefix, and may do no more than the boundary
  #checkov:skip=CKV_AWS_107:it may push images, which needs a token of the registry
  statement {
    sid       = "State"
    actions   = ["s3:PutObject"]
    resources = ["${local.state}/${local.key}"]
  }

  statement {
    sid = "Images"
    actions = [
      "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:GetDownloadUrlForLayer",
      "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
    ]
    resources = [aws_ecr_repository.this.arn]
  }

  # Services whose resources carry the environment's name in their ARN.
  statement {
    sid = "Named"
    actions = [
      "athena:*NamedQuery", "athena:*WorkGroup", "athena:TagResource", "athena:UntagResource",
      "cloudformation:CreateStack", "cloudformation:DeleteStack", "cloudformation:UpdateStack",
      "cloudwatch:DeleteAlarms", "cloudwatch:DeleteDashboards", "cloudwatch:PutDashboard",
      "cloudwatch:PutMetricAlarm", "cloudwatch:TagResource", "cloudwatch:UntagResource",
      "ecs:CreateService", "ecs:DeleteService", "ecs:UpdateService", "ecs:CreateCluster", "ecs:DeleteCluster",
      "ecs:UpdateCluster", "ecs:UpdateClusterSettings", "ecs:TagResource", "ecs:UntagResource",
      "elasticloadbalancing:AddTags", "elasticloadbalancing:Create*", "elasticloadbalancing:Delete*",
      "elasticloadbalancing:Modify*", "elasticloadbalancing:RemoveTags", "elasticloadbalancing:Set*",
      "firehose:CreateDeliveryStream", "firehose:DeleteDeliveryStream", "firehose:StartDeliveryStreamEncryption",
      "firehose:TagDeliveryStream", "firehose:UntagDeliveryStream", "firehose:UpdateDestination",
      "glue:CreateDatabase", "glue:CreateTable", "glue:DeleteDatabase", "glue:DeleteTable", "glue:UpdateDatabase",
      "glue:UpdateTable", "glue:TagResource", "glue:UntagResource",
      "logs:CreateLogGroup", "logs:CreateLogStream", "logs:DeleteLogGroup", "logs:DeleteLogStream",
      "logs:AssociateKmsKey", "logs:PutRetentionPolicy", "logs:TagResource", "logs:UntagResource",
      "s3:CreateBucket", "s3:DeleteBucket", "s3:DeleteBucketPolicy", "s3:PutBucket*", "s3:PutEncryptionConfiguration",
      "s3:PutLifecycleConfiguration",
      "sagemaker:AddTags", "sagemaker:Create*", "sagemaker:Delete*", "sagemaker:UpdateEndpoint",
      "secretsmanager:CreateSecret", "secretsmanager:DeleteSecret", "secretsmanager:TagResource",
      "secretsmanager:UntagResource", "secretsmanager:UpdateSecret",
      "sns:CreateTopic", "sns:DeleteTopic", "sns:SetTopicAttributes", "sns:Subscribe", "sns:Unsubscribe",
      "sns:TagResource", "sns:UntagResource",
      "wafv2:AssociateWebACL", "wafv2:CreateWebACL", "wafv2:DeleteWebACL", "wafv2:DisassociateWebACL",
      "wafv2:PutLoggingConfiguration", "wafv2:DeleteLoggingConfiguration", "wafv2:TagResource", "wafv2:UntagResource",
      "wafv2:UpdateWebACL",
    ]
    resources = [
      "${local.arn}:athena:${local.here}:workgroup/${var.prefix}",
      "${local.arn}:cloudformation:${local.here}:stack/${var.prefix}-*",
      "${local.arn}:cloudwatch:${local.here}:alarm:${var.prefix}-*",
      "${local.arn}:cloudwatch::${var.account_id}:dashboard/${var.prefix}",
      "${local.arn}:ecs:${local.here}:cluster/${var.prefix}",
      "${local.arn}:ecs:${local.here}:service/${var.prefix}/*",
      "${local.arn}:ecs:${local.here}:task-definition/${var.prefix}*",
      "${local.arn}:elasticloadbalancing:${local.here}:loadbalancer/app/${var.prefix}/*",
      "${local.arn}:elasticloadbalancing:${local.here}:listener/app/${var.prefix}/*",
      "${local.arn}:elasticloadbalancing:${local.here}:listener-rule/app/${var.prefix}/*",
      "${local.arn}:elasticloadbalancing:${local.here}:targetgroup/${var.prefix}-*",
      "${local.arn}:firehose:${local.here}:deliverystream/${var.prefix}-*",
      "${local.arn}:glue:${local.here}:catalog",
      "${local.arn}:glue:${local.here}:database/${replace(var.prefix, "-", "_")}",
      "${local.arn}:glue:${local.here}:table/${replace(var.prefix, "-", "_")}/*",
      "${local.arn}:logs:${local.here}:log-group:/${var.prefix}/*",
      "${local.arn}:logs:${local.here}:log-group:aws-waf-logs-${var.prefix}*",
      "${local.arn}:s3:::${var.prefix}-${var.account_id}",
      "${local.arn}:sagemaker:${local.here}:*/${var.prefix}*",
      "${local.arn}:secretsmanager:${local.here}:secret:${var.prefix}/*",
      "${local.arn}:sns:${local.here}:${var.prefix}-alarms*",
      "${local.arn}:wafv2:${local.here}:regional/webacl/${var.prefix}/*",
      # The managed rule groups that the ACL names.
      "${local.arn}:wafv2:${local.here}:regional/managedruleset/*/*",
    ]
  }

  # Services whose ARNs are numbers, and calls without a resource.
  statement {
    sid = "Numbered"
    actions = [
      "application-autoscaling:DeleteScalingPolicy", "application-autoscaling:DeregisterScalableTarget",
      "application-autoscaling:PutScalingPolicy", "application-autoscaling:RegisterScalableTarget",
      "application-autoscaling:TagResource", "application-autoscaling:UntagResource",
      "cognito-idp:CreateResourceServer", "cognito-idp:CreateUserPool*", "cognito-idp:DeleteResourceServer",
      "cognito-idp:DeleteUserPool*", "cognito-idp:SetUserPoolMfaConfig", "cognito-idp:TagResource",
      "cognito-idp:UntagResource", "cognito-idp:UpdateResourceServer", "cognito-idp:UpdateUserPool*",
      "ec2:AllocateAddress", "ec2:AssociateRouteTable", "ec2:AttachInternetGateway", "ec2:AuthorizeSecurityGroup*",
      "ec2:CreateFlowLogs", "ec2:CreateInternetGateway", "ec2:CreateNatGateway", "ec2:CreateRoute*",
      "ec2:CreateSecurityGroup", "ec2:CreateSubnet", "ec2:CreateTags", "ec2:CreateVpc*", "ec2:DeleteFlowLogs",
      "ec2:DeleteInternetGateway", "ec2:DeleteNatGateway", "ec2:DeleteRoute*", "ec2:DeleteSecurityGroup",
      "ec2:DeleteSubnet", "ec2:DeleteTags", "ec2:DeleteVpc*", "ec2:DetachInternetGateway",
      "ec2:DisassociateAddress", "ec2:DisassociateRouteTable", "ec2:ModifySecurityGroupRules",
      "ec2:ModifySubnetAttribute", "ec2:ModifyVpc*", "ec2:ReleaseAddress", "ec2:ReplaceRoute*",
      "ec2:RevokeSecurityGroup*", "ec2:UpdateSecurityGroupRuleDescriptions*",
      "ecr:GetAuthorizationToken",
      "ecs:DeregisterTaskDefinition", "ecs:RegisterTaskDefinition",
      "kms:CreateKey", "kms:TagResource", "kms:UntagResource",
      "logs:CreateLogDelivery", "logs:DeleteLogDelivery", "logs:DescribeResourcePolicies", "logs:GetLogDelivery",
      "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:UpdateLogDelivery",
    ]
    resources = ["*"]
    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = [var.region]
    }
  }

  # Keys have numbers too; their tag says whose they are.
  statement {
    sid = "KeysOfThisEnvironment"
    actions = [
      "kms:CreateAlias", "kms:CreateGrant", "kms:Decrypt", "kms:DeleteAlias", "kms:DescribeKey", "kms:EnableKeyRotation",
      "kms:GenerateDataKey", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:UpdateKeyDescription",
    ]
    resources = ["${local.arn}:kms:${local.here}:key/*"]
    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/environment"
      values   = [var.environment]
    }
  }

  statement {
    sid       = "AliasOfTheKey"
    actions   = ["kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"]
    resources = ["${local.arn}:kms:${local.here}:alias/${var.prefix}"]
  }

  # A role that it makes may do no more than the boundary, and only these services may take it.
  statement {
    sid       = "NewRoles"
    actions   = ["iam:CreateRole", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy", "iam:AttachRolePolicy"]
    resources = [local.roles]
    condition {
      test     = "StringEquals"
      variable = "iam:PermissionsBoundary"
      values   = [local.boundary_arn]
    }
  }

  statement {
    sid = "Roles"
    actions = [
      "iam:DeleteRole", "iam:DeleteRolePolicy", "iam:DetachRolePolicy", "iam:ListInstanceProfilesForRole", "iam:TagRole",
      "iam:UntagRole", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole",
    ]
    resources = [local.roles]
  }

  statement {
    sid       = "RolesForServices"
    actions   = ["iam:PassRole"]
    resources = [local.roles]
    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values = [
        "ecs-tasks.amazonaws.com", "ecs.amazonaws.com", "firehose.amazonaws.com", "sagemaker.amazonaws.com",
        "vpc-flow-logs.amazonaws.com",
      ]
    }
  }

  statement {
    sid       = "RolesOfServicesThemselves"
    actions   = ["iam:CreateServiceLinkedRole"]
    resources = ["${local.arn}:iam::${var.account_id}:role/aws-service-role/*"]
    condition {
      test     = "StringEquals"
      variable = "iam:AWSServiceName"
      values = [
        "ecs.amazonaws.com", "ecs.application-autoscaling.amazonaws.com", "elasticloadbalancing.amazonaws.com",
        "wafv2.amazonaws.com",
      ]
    }
  }

  # Or the pipeline could give itself more. An administrator applies changes of this module (docs/deploy.md).
  statement {
    sid    = "NotItself"
    effect = "Deny"
    actions = [
      "iam:Add*", "iam:Attach*", "iam:Create*", "iam:Delete*", "iam:Detach*", "iam:PassRole", "iam:Put*", "iam:Remove*",
      "iam:Set*", "iam:Tag*", "iam:Untag*", "iam:Update*",
    ]
    resources = local.own
  }

  # A role keeps its boundary.
  statement {
    sid       = "BoundariesStay"
    effect    = "Deny"
    actions   = ["iam:DeleteRolePermissionsBoundary"]
    resources = ["*"]
  }
}

resource "aws_iam_policy" "change" {
  name        = "${var.prefix}-github-change"
  description = "What Terraform changes"
  policy      = data.aws_iam_policy_document.change.json
}

resource "aws_iam_role_policy_attachment" "change" {
  role       = aws_iam_role.github["apply"].name
  policy_arn = aws_iam_policy.change.arn
}
