# terraform test -test-directory=tests/environments -filter=tests/environments/minimal.tftest.hcl -var-file=envs/minimal.tfvars

mock_provider "aws" {
  source = "./tests/mocks"
}

run "minimal" {
  assert {
    condition     = output.tokens == null && output.github == null && output.sagemaker_endpoint == null && output.api_keys_secret == null
    error_message = "No feature is on."
  }

  assert {
    condition     = output.cluster == "quintile-minimal" && output.bucket == "quintile-minimal-111122223333"
    error_message = "Its own names."
  }
}
