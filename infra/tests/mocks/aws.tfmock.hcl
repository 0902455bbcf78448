# What the mocked provider answers where Terraform or the provider looks at the form of a value.

mock_resource "aws_iam_role" {
  defaults = {
    arn = "arn:aws:iam::111122223333:role/mock"
  }
}

mock_resource "aws_iam_policy" {
  defaults = {
    arn = "arn:aws:iam::111122223333:policy/mock"
  }
}

mock_resource "aws_iam_openid_connect_provider" {
  defaults = {
    arn = "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"
  }
}

mock_resource "aws_kms_key" {
  defaults = {
    arn    = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
    key_id = "11111111-2222-3333-4444-555555555555"
  }
}

mock_resource "aws_cloudwatch_log_group" {
  defaults = {
    arn = "arn:aws:logs:eu-central-1:111122223333:log-group:/mock"
  }
}

mock_resource "aws_s3_bucket" {
  defaults = {
    arn = "arn:aws:s3:::quintile-test-111122223333"
  }
}

mock_resource "aws_glue_catalog_database" {
  defaults = {
    arn = "arn:aws:glue:eu-central-1:111122223333:database/quintile_test"
  }
}

mock_resource "aws_glue_catalog_table" {
  defaults = {
    arn = "arn:aws:glue:eu-central-1:111122223333:table/quintile_test/scores"
  }
}

mock_resource "aws_kinesis_firehose_delivery_stream" {
  defaults = {
    arn = "arn:aws:firehose:eu-central-1:111122223333:deliverystream/quintile-test-scores"
  }
}

mock_resource "aws_sns_topic" {
  defaults = {
    arn = "arn:aws:sns:eu-central-1:111122223333:quintile-test-alarms"
  }
}

mock_resource "aws_lb" {
  defaults = {
    arn        = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:loadbalancer/app/quintile-test/50dc6c495c0c9188"
    arn_suffix = "app/quintile-test/50dc6c495c0c9188"
    dns_name   = "quintile-test-1.eu-central-1.elb.amazonaws.com"
    zone_id    = "Z215JYRZR1TBD5"
  }
}

mock_resource "aws_lb_target_group" {
  defaults = {
    arn        = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:targetgroup/quintile-test-blue/73e2d6bc24d8a067"
    arn_suffix = "targetgroup/quintile-test-blue/73e2d6bc24d8a067"
  }
}

mock_resource "aws_lb_listener" {
  defaults = {
    arn = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:listener/app/quintile-test/50dc6c495c0c9188/f2f7dc8efc522ab2"
  }
}

mock_resource "aws_lb_listener_rule" {
  defaults = {
    arn = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:listener-rule/app/quintile-test/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee"
  }
}

mock_resource "aws_wafv2_web_acl" {
  defaults = {
    arn = "arn:aws:wafv2:eu-central-1:111122223333:regional/webacl/quintile-test/11111111-2222-3333-4444-555555555555"
  }
}

mock_resource "aws_ecs_cluster" {
  defaults = {
    arn = "arn:aws:ecs:eu-central-1:111122223333:cluster/quintile-test"
  }
}

mock_resource "aws_ecs_task_definition" {
  defaults = {
    arn = "arn:aws:ecs:eu-central-1:111122223333:task-definition/quintile-test:1"
  }
}

mock_resource "aws_secretsmanager_secret" {
  defaults = {
    arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:quintile-test/api-keys-AbCdEf"
  }
}

mock_resource "aws_ecr_repository" {
  defaults = {
    arn            = "arn:aws:ecr:eu-central-1:111122223333:repository/quintile-test"
    repository_url = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/quintile-test"
  }
}

mock_resource "aws_cognito_user_pool" {
  defaults = {
    endpoint = "cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Ab129faBb"
    id       = "eu-central-1_Ab129faBb"
  }
}

mock_resource "aws_cognito_user_pool_client" {
  defaults = {
    id = "1h57kf5cpq17m0eml12EXAMPLE"
  }
}

mock_resource "aws_sagemaker_model" {
  defaults = {
    arn = "arn:aws:sagemaker:eu-central-1:111122223333:model/quintile-test"
  }
}

mock_resource "aws_vpc" {
  defaults = {
    id         = "vpc-0a1b2c3d"
    cidr_block = "10.42.0.0/16"
  }
}

mock_data "aws_availability_zones" {
  defaults = {
    names = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
  }
}

mock_data "aws_caller_identity" {
  defaults = {
    account_id = "111122223333"
  }
}

mock_data "aws_partition" {
  defaults = {
    partition = "aws"
  }
}

mock_data "aws_iam_policy_document" {
  defaults = {
    json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}"
  }
}
