# Tokens for machines: a resource server with one scope, and one client that may have it (client_credentials). There are
# no people in this pool.

resource "aws_cognito_user_pool" "this" {
  name = var.prefix

  admin_create_user_config {
    allow_admin_create_user_only = true
  }

  deletion_protection = var.deletion_protection ? "ACTIVE" : "INACTIVE"
}

resource "aws_cognito_resource_server" "this" {
  user_pool_id = aws_cognito_user_pool.this.id
  identifier   = "quintile"
  name         = "${var.prefix} scores"

  scope {
    scope_name        = "score"
    scope_description = "Score leads"
  }
}

resource "aws_cognito_user_pool_client" "machine" {
  user_pool_id = aws_cognito_user_pool.this.id
  name         = "${var.prefix}-crm"

  generate_secret                      = true
  allowed_oauth_flows_user_pool_client = true
  allowed_oauth_flows                  = ["client_credentials"]
  allowed_oauth_scopes                 = aws_cognito_resource_server.this.scope_identifiers

  # Tokens are billed, so a client should keep one as long as it is good.
  access_token_validity = 60
  token_validity_units {
    access_token = "minutes"
  }

  enable_token_revocation       = true
  prevent_user_existence_errors = "ENABLED"
}

resource "aws_cognito_user_pool_domain" "this" {
  user_pool_id = aws_cognito_user_pool.this.id
  domain       = var.domain
}
