output "endpoint" {
  description = "The endpoint's name."
  value       = aws_sagemaker_endpoint.this.name
}
