# One key for what this environment keeps: records, models, logs, notifications. Rotated each year by AWS.

data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109:a key's policy has the key itself as its only resource, which is written as *
  #checkov:skip=CKV_AWS_111:a key's policy has the key itself as its only resource, which is written as *
  #checkov:skip=CKV_AWS_356:a key's policy has the key itself as its only resource, which is written as *
  statement {
    sid       = "PoliciesOfTheAccountDecide"
    actions   = ["kms:*"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["arn:${var.partition}:iam::${var.account_id}:root"]
    }
  }

  statement {
    sid       = "LogGroupsOfThisAccount"
    actions   = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
    resources = ["*"]
    principals {
      type        = "Service"
      identifiers = ["logs.${var.region}.amazonaws.com"]
    }
    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = ["arn:${var.partition}:logs:${var.region}:${var.account_id}:log-group:*${var.prefix}*"]
    }
  }

  # An alarm cannot write to an encrypted topic whose key does not let it. Whose alarms may is in the topic's policy.
  statement {
    sid       = "Alarms"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey*"]
    resources = ["*"]
    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }
  }
}

resource "aws_kms_key" "this" {
  description             = "${var.prefix}: records, models, logs, notifications"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.prefix}"
  target_key_id = aws_kms_key.this.key_id
}
