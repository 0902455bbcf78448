//! Where a secret is: a file, or a service of AWS. The configuration has the place, and never the secret.

use std::fmt;
use std::path::PathBuf;

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// `file:PATH`.
    File(PathBuf),
    /// `aws-secretsmanager:ID` or `aws-ssm:NAME`.
    Aws(AwsSecret),
}

/// A secret that a service of AWS has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsSecret {
    /// Which service.
    pub service: AwsSecretService,
    /// Its name or ARN there.
    pub id: String,
}

/// A service of AWS that has secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AwsSecretService {
    /// AWS Secrets Manager.
    SecretsManager,
    /// The Parameter Store of AWS Systems Manager.
    ParameterStore,
}

impl AwsSecretService {
    const fn prefix(self) -> &'static str {
        match self {
            Self::SecretsManager => "aws-secretsmanager:",
            Self::ParameterStore => "aws-ssm:",
        }
    }
}

impl AwsSecret {
    fn parse(text: &str) -> Option<Self> {
        let services = [AwsSecretService::SecretsManager, AwsSecretService::ParameterStore];
        services.into_iter().find_map(|service| {
            let id = text.strip_prefix(service.prefix())?.to_owned();
            Some(Self { service, id })
        })
    }

    /// The region that an ARN names.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        let mut parts = self.id.strip_prefix("arn:")?.split(':');
        parts.nth(2).filter(|region| !region.is_empty())
    }
}

impl fmt::Display for AwsSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.service.prefix(), self.id)
    }
}

impl SecretSource {
    /// What a text with a prefix says.
    ///
    /// # Errors
    /// What is wrong with it; the text itself is not repeated, because it may be the secret, put there by mistake.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const CHARACTERS_MAX: usize = 2048;
        let source = match (text.strip_prefix("file:"), AwsSecret::parse(text)) {
            (Some(path), _) => Self::File(path.into()),
            (None, Some(secret)) => Self::Aws(secret),
            (None, None) => return Err(", which does not begin with file:, aws-secretsmanager: or aws-ssm:"),
        };
        match &source {
            Self::File(path) if path.as_os_str().is_empty() => Err(", which names nothing"),
            Self::Aws(secret) if secret.id.is_empty() => Err(", which names nothing"),
            Self::Aws(secret) if !is_id(&secret.id) || secret.id.len() > CHARACTERS_MAX => {
                Err(", whose name has other characters than AWS allows")
            }
            _ if text.contains('\0') => Err(", which has a NUL"),
            _ => Ok(source),
        }
    }

    /// As [`Self::parse`], where a text without a prefix is a path.
    #[must_use]
    pub fn or_path(text: &str) -> Self {
        Self::parse(text).unwrap_or_else(|_| Self::File(text.into()))
    }

    /// The secret of AWS, if it is one.
    #[must_use]
    pub fn of_aws(&self) -> Option<&AwsSecret> {
        match self {
            Self::Aws(secret) => Some(secret),
            Self::File(_) => None,
        }
    }
}

/// Names and ARNs of both services.
fn is_id(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/_+=.@-:!".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_says_where_a_secret_is() {
        assert_eq!(
            SecretSource::parse("file:/run/keys"),
            Ok(SecretSource::File("/run/keys".into()))
        );
        for text in ["aws-secretsmanager:prod/keys", "aws-ssm:/quintile/keys"] {
            let source = SecretSource::parse(text).unwrap();
            assert_eq!(source.of_aws().unwrap().to_string(), text);
        }
        for text in [
            "",
            "keys",
            "file:",
            "aws-ssm:",
            "aws-secretsmanager:a b",
            "aws-ssm:a\"b",
            "s3:x",
        ] {
            assert!(SecretSource::parse(text).is_err(), "{text}");
        }
        assert_eq!(
            SecretSource::or_path("a/tls.key"),
            SecretSource::File("a/tls.key".into())
        );
    }

    #[test]
    fn an_arn_names_its_region() {
        let of = |id: &str| {
            AwsSecret::parse(&format!("aws-secretsmanager:{id}"))
                .unwrap()
                .region()
                .map(String::from)
        };
        assert_eq!(
            of("arn:aws:secretsmanager:eu-west-1:123456789012:secret:keys-a1b2c3").as_deref(),
            Some("eu-west-1")
        );
        assert_eq!(of("keys"), None);
    }
}
