terraform {
  required_version = ">= 1.11"

  # The bucket, its key and the region are given at `terraform init` (docs/deploy.md). S3 itself holds the lock.
  backend "s3" {
    use_lockfile = true
    encrypt      = true
  }

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # Tried with 5.100. docs/scope_decisions.md says what 6.x would bring, and what stands for it here.
      version = ">= 5.100, < 7"
    }
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = {
      project     = var.name
      environment = var.environment
      managed-by  = "terraform"
    }
  }
}
