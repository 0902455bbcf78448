# terraform test -test-directory=tests/environments -filter=tests/environments/prod.tftest.hcl -var-file=envs/prod.tfvars

mock_provider "aws" {
  source = "./tests/mocks"
}

run "prod" {
  assert {
    condition     = output.tokens == null && output.github != null && output.sagemaker_endpoint == null && output.api_keys_secret == null
    error_message = "A pipeline, no tokens, no SageMaker."
  }

  assert {
    condition     = output.cluster == "quintile-prod" && output.bucket == "quintile-prod-111122223333"
    error_message = "Its own names."
  }
}
