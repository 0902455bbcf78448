# Subnets, and the two ways from a task to AWS.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  prefix      = "quintile-test"
  region      = "eu-central-1"
  kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
}

run "a_gateway" {
  module {
    source = "./modules/network"
  }

  variables {
    private_endpoints = false
    nat               = true
  }

  assert {
    condition     = aws_subnet.public[*].cidr_block == ["10.42.0.0/24", "10.42.1.0/24"] && aws_subnet.private[*].cidr_block == ["10.42.16.0/20", "10.42.32.0/20"]
    error_message = "Public subnets are small, private ones have room for thousands of tasks, and none overlap."
  }

  assert {
    condition     = aws_subnet.private[*].availability_zone == ["eu-central-1a", "eu-central-1b"]
    error_message = "Two zones."
  }

  assert {
    condition     = alltrue([for subnet in concat(aws_subnet.public, aws_subnet.private) : coalesce(subnet.map_public_ip_on_launch, false) == false])
    error_message = "Nothing gets a public address by itself."
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 1 && length(aws_route.nat) == 1 && length(aws_vpc_endpoint.interface) == 0
    error_message = "One gateway to the internet, and no interface endpoint."
  }

  assert {
    condition     = aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway" && aws_vpc_endpoint.s3.service_name == "com.amazonaws.eu-central-1.s3"
    error_message = "S3 is free through its gateway endpoint."
  }

  assert {
    condition     = aws_flow_log.this.traffic_type == "REJECT" && aws_cloudwatch_log_group.flow.kms_key_id == var.kms_key_arn
    error_message = "Refused connections are logged, encrypted."
  }
}

run "endpoints" {
  module {
    source = "./modules/network"
  }

  variables {
    private_endpoints = true
    nat               = false
    sagemaker         = true
  }

  assert {
    condition = toset(keys(aws_vpc_endpoint.interface)) == toset([
      "ecr.api", "ecr.dkr", "logs", "secretsmanager", "kinesis-firehose", "sts", "monitoring", "xray", "sagemaker.runtime",
    ])
    error_message = "What a task calls, each with its endpoint."
  }

  assert {
    condition     = alltrue([for endpoint in aws_vpc_endpoint.interface : endpoint.private_dns_enabled])
    error_message = "The SDK's own names lead to the endpoints."
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 0 && length(aws_eip.nat) == 0 && length(aws_route.nat) == 0
    error_message = "No way to the internet."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.endpoints[0].from_port == 443 && aws_vpc_security_group_ingress_rule.endpoints[0].cidr_ipv4 == "10.42.0.0/16"
    error_message = "HTTPS from this VPC only."
  }
}

run "one_zone" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    private_endpoints = false
    nat               = true
    zones             = 1
  }

  expect_failures = [var.zones]
}
