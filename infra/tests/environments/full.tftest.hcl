# terraform test -test-directory=tests/environments -filter=tests/environments/full.tftest.hcl -var-file=envs/full.tfvars

mock_provider "aws" {
  source = "./tests/mocks"
}

run "full" {
  assert {
    condition     = output.tokens.scope == "quintile/score" && output.github != null && output.sagemaker_endpoint == "quintile-full" && output.api_keys_secret != null
    error_message = "Everything is on."
  }

  assert {
    condition     = output.cluster == "quintile-full" && output.bucket == "quintile-full-111122223333"
    error_message = "Its own names."
  }
}
