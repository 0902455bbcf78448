# Who may deploy, and what they may do.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  prefix            = "quintile-test"
  environment       = "test"
  region            = "eu-central-1"
  account_id        = "111122223333"
  github_repository = "example/quintile"
  state_bucket      = "example-terraform-state"
}

run "first_of_the_account" {
  module {
    source = "./modules/cicd"
  }

  assert {
    condition = { for name, document in data.aws_iam_policy_document.trust : name => [for condition in document.statement[0].condition : one(condition.values) if condition.variable == "token.actions.githubusercontent.com:sub"] } == {
      plan  = ["repo:example/quintile:environment:test-plan"]
      apply = ["repo:example/quintile:environment:test"]
    }
    error_message = "The environment is the gate: no branch, no pull request and no other repository gets in."
  }

  assert {
    condition     = alltrue(flatten([for document in data.aws_iam_policy_document.trust : [for condition in document.statement[0].condition : condition.test == "StringEquals"]]))
    error_message = "Compared whole, never by pattern."
  }

  assert {
    condition     = aws_ecr_repository.this.image_tag_mutability == "IMMUTABLE" && aws_ecr_repository.this.image_scanning_configuration[0].scan_on_push && aws_ecr_repository.this.encryption_configuration[0].encryption_type == "KMS"
    error_message = "A tag names one image for ever, each is scanned, all are encrypted."
  }

  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 1 && aws_iam_openid_connect_provider.github[0].client_id_list == toset(["sts.amazonaws.com"])
    error_message = "GitHub's provider is made."
  }

  assert {
    condition     = length(setintersection(flatten([for statement in data.aws_iam_policy_document.read.statement : tolist(statement.actions) if statement.sid == "Configuration"]), ["s3:GetObject", "s3:GetObject*", "s3:Get*", "s3:*", "secretsmanager:GetSecretValue", "secretsmanager:*", "kms:Decrypt", "*"])) == 0
    error_message = "A plan reads no record, no model and no secret."
  }

  assert {
    condition     = length([for action in flatten([for statement in data.aws_iam_policy_document.change.statement : tolist(statement.actions) if statement.effect != "Deny"]) : action if action == "*" || endswith(action, ":*")]) == 0
    error_message = "No service is given whole."
  }

  assert {
    condition = alltrue([for statement in data.aws_iam_policy_document.change.statement :
    one([for condition in statement.condition : one(condition.values) if condition.variable == "iam:PermissionsBoundary"]) == "arn:aws:iam::111122223333:policy/quintile-test-boundary" if statement.sid == "NewRoles"])
    error_message = "A role that the pipeline makes has the boundary."
  }

  assert {
    condition     = contains(flatten([for statement in data.aws_iam_policy_document.change.statement : tolist(statement.resources) if statement.sid == "NotItself" && statement.effect == "Deny"]), "arn:aws:iam::111122223333:role/quintile-test-github-*")
    error_message = "The pipeline cannot change its own roles."
  }

  assert {
    condition     = flatten([for statement in data.aws_iam_policy_document.read.statement : tolist(statement.resources) if statement.sid == "State"]) == ["arn:aws:s3:::example-terraform-state/quintile-test/terraform.tfstate"]
    error_message = "This environment's state, and no other's."
  }

  assert {
    condition     = [for attachment in [aws_iam_role_policy_attachment.change] : attachment.role] == ["quintile-test-github-apply"]
    error_message = "Only apply changes anything."
  }
}

run "second_of_the_account" {
  module {
    source = "./modules/cicd"
  }

  variables {
    oidc_provider_arn = "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"
  }

  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 0 && output.oidc_provider_arn == var.oidc_provider_arn
    error_message = "An account can have the provider once."
  }
}
