# About $100 a month: two half-size tasks, no feature that costs extra. Put your own values where a comment says so.
environment      = "minimal"
region           = "eu-central-1"
image            = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/quintile-minimal@sha256:0000000000000000000000000000000000000000000000000000000000000000" # yours
certificate_arn  = "arn:aws:acm:eu-central-1:111122223333:certificate/00000000-0000-0000-0000-000000000000"                                                   # yours
allowed_networks = ["203.0.113.0/24"]                                                                                                                         # yours

# 8,354 scores a second each, with records (docs/task-sizes.md).
tasks = { cpu = 512, memory = 1024, min = 2, max = 4 }
