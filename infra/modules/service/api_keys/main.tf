# The secret of auth.api_keys: a JSON object, name → key. Its value is put there by a person (docs/deploy.md), so it is
# never in Terraform's state.

resource "aws_secretsmanager_secret" "this" {
  #checkov:skip=CKV2_AWS_57:a key is shared with a client, who must get the new one before the old one goes: docs/deploy.md
  name        = "${var.prefix}/api-keys"
  description = "Keys of callers of ${var.prefix}: {\"name\": \"key of at least 24 characters\"}"
  kms_key_id  = var.kms_key_arn
}
