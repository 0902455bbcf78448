output "issuer" {
  description = "`iss` of the pool's tokens."
  value       = "https://${aws_cognito_user_pool.this.endpoint}"
}

output "client_id" {
  description = "The client of machines. Its secret: `aws cognito-idp describe-user-pool-client`."
  value       = aws_cognito_user_pool_client.machine.id
}

output "user_pool_id" {
  description = "The pool."
  value       = aws_cognito_user_pool.this.id
}

output "scope" {
  description = "The scope that scoring needs."
  value       = "${aws_cognito_resource_server.this.identifier}/score"
}

output "token_url" {
  description = "Where a machine asks for its token."
  value       = "https://${aws_cognito_user_pool_domain.this.domain}.auth.${var.region}.amazoncognito.com/oauth2/token"
}
