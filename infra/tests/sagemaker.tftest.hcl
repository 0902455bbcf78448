# The endpoint of our own image.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  prefix            = "quintile-test"
  region            = "eu-central-1"
  account_id        = "111122223333"
  image             = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/quintile-test@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  bucket            = "quintile-test-111122223333"
  kms_key_arn       = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
  subnet_ids        = ["subnet-a", "subnet-b"]
  security_group_id = "sg-task"
}

run "endpoint" {
  module {
    source = "./modules/sagemaker"
  }

  assert {
    condition     = aws_sagemaker_model.this.primary_container[0].image == var.image && aws_sagemaker_model.this.enable_network_isolation && length(aws_sagemaker_model.this.vpc_config) == 1
    error_message = "Our image, without a way to the internet."
  }

  assert {
    condition     = aws_sagemaker_endpoint_configuration.this.kms_key_arn == var.kms_key_arn && aws_sagemaker_endpoint_configuration.this.data_capture_config[0].kms_key_id == var.kms_key_arn
    error_message = "Disk and captured data are encrypted."
  }

  assert {
    condition     = [for option in aws_sagemaker_endpoint_configuration.this.data_capture_config[0].capture_options : option.capture_mode] == ["Input", "Output"] && aws_sagemaker_endpoint_configuration.this.data_capture_config[0].destination_s3_uri == "s3://quintile-test-111122223333/capture/"
    error_message = "Both what was asked and what was answered."
  }

  assert {
    condition     = aws_sagemaker_endpoint_configuration.this.production_variants[0].instance_type == "ml.c7g.large" && aws_sagemaker_endpoint_configuration.this.production_variants[0].initial_instance_count == 2
    error_message = "Two arm64 instances."
  }
}

run "an_image_from_elsewhere" {
  command = plan

  module {
    source = "./modules/sagemaker"
  }

  variables {
    image = "ghcr.io/example/quintile@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  }

  expect_failures = [aws_iam_role.endpoint]
}
