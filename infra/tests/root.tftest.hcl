# What the root refuses, and what its switches do. tests/environments/ has the four environments.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  environment      = "test"
  region           = "eu-central-1"
  image            = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/quintile-test@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  certificate_arn  = "arn:aws:acm:eu-central-1:111122223333:certificate/00000000-0000-0000-0000-000000000000"
  allowed_networks = ["203.0.113.0/24"]
}

run "the_least" {
  assert {
    condition     = output.tokens == null && output.github == null && output.sagemaker_endpoint == null && output.api_keys_secret == null
    error_message = "All features are off by default."
  }

  assert {
    condition     = output.bucket == "quintile-test-111122223333" && output.cluster == "quintile-test" && output.service == "quintile-test" && output.athena == { workgroup = "quintile-test", database = "quintile_test" }
    error_message = "Names begin with NAME-ENVIRONMENT."
  }
}

run "by_hand" {
  variables {
    deployment = {
      strategy       = "WEIGHTED"
      canary_percent = 5
      green_image    = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/quintile-test@sha256:1111111111111111111111111111111111111111111111111111111111111111"
    }
  }

  assert {
    condition     = output.service == "quintile-test"
    error_message = "The first service keeps its name."
  }
}

run "a_tag" {
  command = plan

  variables {
    image = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/quintile-test:latest"
  }

  expect_failures = [var.image]
}

run "open_to_all_without_a_credential" {
  command = plan

  variables {
    allowed_networks = ["0.0.0.0/0"]
  }

  expect_failures = [var.allowed_networks]
}

run "open_to_all_with_tokens" {
  command = plan

  variables {
    allowed_networks = ["0.0.0.0/0"]
    features         = { cognito = true }
  }
}

run "a_size_that_fargate_has_not" {
  command = plan

  variables {
    tasks = { cpu = 512, memory = 8192 }
  }

  expect_failures = [var.tasks]
}

run "more_at_least_than_at_most" {
  command = plan

  variables {
    tasks = { min = 4, max = 2 }
  }

  expect_failures = [var.tasks]
}

run "an_unknown_strategy" {
  command = plan

  variables {
    deployment = { strategy = "BLUE_GREEN" }
  }

  expect_failures = [var.deployment]
}

run "weights_without_a_second_image" {
  command = plan

  variables {
    deployment = { strategy = "WEIGHTED" }
  }

  expect_failures = [var.deployment]
}

run "a_certificate_of_another_service" {
  command = plan

  variables {
    certificate_arn = "arn:aws:iam::111122223333:server-certificate/leads"
  }

  expect_failures = [var.certificate_arn]
}

run "a_repository_by_its_address" {
  command = plan

  variables {
    github_repository = "https://github.com/example/quintile"
    state_bucket      = "example-terraform-state"
  }

  expect_failures = [var.github_repository]
}

run "roles_without_the_bucket_of_the_state" {
  command = plan

  variables {
    github_repository = "example/quintile"
  }

  expect_failures = [var.state_bucket]
}

run "a_long_name" {
  command = plan

  variables {
    name = "quintile-for-the-whole-of-europe"
  }

  expect_failures = [var.name]
}
