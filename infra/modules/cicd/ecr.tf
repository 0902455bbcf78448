# The environment's images: copied here from where they were built and scanned, by digest.

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
      identifiers = ["${local.arn}:iam::${var.account_id}:root"]
    }
  }
}

# Not the key of records: images are there before anything else is.
resource "aws_kms_key" "images" {
  description             = "${var.prefix}: images"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_ecr_repository" "this" {
  name                 = var.prefix
  image_tag_mutability = "IMMUTABLE"

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = aws_kms_key.images.arn
  }
}

resource "aws_ecr_lifecycle_policy" "this" {
  repository = aws_ecr_repository.this.name

  policy = jsonencode({ rules = [
    # No rule for images without a tag: those of the single architectures have none, and their index needs them.
    {
      rulePriority = 1
      description  = "All but the newest"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = var.images_kept }
      action       = { type = "expire" }
    },
  ] })
}
