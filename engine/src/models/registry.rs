//! What a request may ask for at one moment: names, versions, aliases, splits and shadows. Immutable; a change is
//! another one.

use std::sync::Arc;

use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::loaded::describe::Text;

use super::inference_counts::InferenceCounts;
use super::split::Split;
use crate::record::Role;

/// Bytes of a model's name at most.
const NAME_BYTES_MAX: usize = 128;

/// Whether a text can be the name of a model, an alias or a version: letters, digits, `.`, `_` and `-`, 128 at most.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let is_of_it = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_of_it)
}

/// A loaded model under its version, and where shards keep their memory for it.
#[derive(Debug)]
pub struct ModelVersion {
    /// The number of its slot on every shard. No other version has it until this one is freed.
    pub slot: usize,
    /// What no other version of this process has, not even one that is loaded again.
    pub number: u64,
    /// The version as clients name it.
    pub version: String,
    /// The model.
    pub loaded: LoadedModel,
    /// What was asked of it over protocols of tensors and tables.
    pub counts: InferenceCounts,
}

/// A version that is scored beside the champion and never answered.
#[derive(Debug, Clone)]
pub struct Shadow {
    /// Tells shadows of one model apart: one that is set anew is counted anew.
    pub number: u64,
    /// Who scores.
    pub version: Arc<ModelVersion>,
    /// The part of the champion's leads that it scores, from 0 to 1.
    pub share: f64,
}

/// A model: all versions of one name that are ready, and who answers.
#[derive(Debug)]
pub struct NamedModel {
    /// Its name.
    pub name: String,
    /// Who answers unless a split says otherwise; none while no version is ready.
    pub champion: Option<Arc<ModelVersion>>,
    /// Every version that is ready, the lowest first.
    pub ready: Vec<Arc<ModelVersion>>,
    /// Versions that are known and not ready.
    pub unready: Vec<String>,
    /// Names of versions, `champion` included.
    pub aliases: Vec<(String, Arc<ModelVersion>)>,
    /// Which leads challengers answer.
    pub split: Option<Split>,
    /// Who scores beside.
    pub shadow: Option<Shadow>,
    /// The champion of before, while the new one is compared with it.
    pub watch: Option<Shadow>,
}

/// All models, swapped whole.
#[derive(Debug)]
pub struct Registry {
    /// Each model once, by name.
    models: Vec<Arc<NamedModel>>,
    default: Arc<NamedModel>,
    champion: Arc<ModelVersion>,
    /// The document of all models; none where the only one has its own.
    openapi: Option<Text>,
    /// Whether records say which role a model had: not where there is one model and no store.
    tells_roles: bool,
}

/// Which model a request asks for.
#[derive(Debug, Clone)]
pub enum ModelChoice {
    /// What the default model is when the body is complete.
    Default,
    /// A model, as it was when its name was read: its champion, or what its split says.
    Named(Arc<NamedModel>),
    /// One version.
    Version(Arc<ModelVersion>, Role),
}

/// Why there is no such model to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChoiceError {
    /// No model, alias or version of that name is known.
    Unknown,
    /// It is known, and not loaded.
    NotLoaded,
}

/// How a request's path says which version it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selected<'a> {
    /// None: champion or split.
    Any,
    /// What this alias means.
    Alias(&'a str),
    /// This one.
    Version(&'a str),
}

impl ModelChoice {
    /// The version that reads a lead first.
    #[must_use]
    pub fn reads_first<'a>(&'a self, registry: &'a Registry) -> &'a Arc<ModelVersion> {
        match self {
            Self::Default => registry.champion(),
            // A name has a champion when it is found.
            Self::Named(model) => model.champion.as_ref().unwrap_or(registry.champion()),
            Self::Version(version, _) => version,
        }
    }
}

impl ModelVersion {
    /// The one version of a process without a store.
    #[must_use]
    pub fn alone(slot: usize, number: u64, loaded: LoadedModel) -> Self {
        Self {
            slot,
            number,
            version: loaded.model.version().to_owned(),
            loaded,
            counts: InferenceCounts::default(),
        }
    }
}

impl NamedModel {
    /// What a version's answers are called in records.
    fn role_of(&self, version: &Arc<ModelVersion>) -> Role {
        match &self.champion {
            Some(champion) if Arc::ptr_eq(champion, version) => Role::Champion,
            _ => Role::Challenger,
        }
    }

    /// The version of an alias.
    #[must_use]
    pub fn alias(&self, alias: &str) -> Option<&Arc<ModelVersion>> {
        let found = self.aliases.iter().find(|(name, _)| name == alias);
        found.map(|(_, version)| version)
    }

    fn choose(self: &Arc<Self>, selected: Selected<'_>) -> Result<ModelChoice, ChoiceError> {
        let version = match selected {
            Selected::Any => {
                let has_one = self.champion.is_some();
                return has_one
                    .then(|| ModelChoice::Named(Arc::clone(self)))
                    .ok_or(ChoiceError::NotLoaded);
            }
            Selected::Alias(alias) => self.alias(alias),
            Selected::Version(wanted) => self.ready.iter().find(|version| version.version == wanted),
        };
        match (version, selected) {
            (Some(version), _) => Ok(ModelChoice::Version(Arc::clone(version), self.role_of(version))),
            (None, Selected::Version(wanted)) if self.unready.iter().any(|known| known == wanted) => {
                Err(ChoiceError::NotLoaded)
            }
            (None, _) => Err(ChoiceError::Unknown),
        }
    }
}

impl Registry {
    /// One model and no store.
    #[must_use]
    pub fn single(version: Arc<ModelVersion>) -> Self {
        let model = Arc::new(NamedModel {
            name: version.loaded.model.name().to_owned(),
            champion: Some(Arc::clone(&version)),
            ready: vec![Arc::clone(&version)],
            unready: Vec::new(),
            aliases: vec![("champion".into(), Arc::clone(&version))],
            split: None,
            shadow: None,
            watch: None,
        });
        Self {
            models: vec![Arc::clone(&model)],
            default: model,
            champion: version,
            openapi: None,
            tells_roles: false,
        }
    }

    /// The models of a store. None when the default is not among them, or has no champion.
    #[must_use]
    pub fn of_store(mut models: Vec<Arc<NamedModel>>, default: &str, openapi: Option<Text>) -> Option<Self> {
        models.sort_by(|one, other| one.name.cmp(&other.name));
        let default = Arc::clone(models.iter().find(|model| model.name == default)?);
        let champion = Arc::clone(default.champion.as_ref()?);
        Some(Self {
            models,
            default,
            champion,
            openapi,
            tells_roles: true,
        })
    }

    /// Who answers `POST /score`, unless a split says otherwise.
    #[inline]
    #[must_use]
    pub fn champion(&self) -> &Arc<ModelVersion> {
        &self.champion
    }

    /// What `POST /score` means.
    #[inline]
    #[must_use]
    pub fn default_model(&self) -> &Arc<NamedModel> {
        &self.default
    }

    /// What `/openapi.json` says.
    #[must_use]
    pub fn openapi(&self) -> &Text {
        let own = || &self.champion.loaded.descriptions().openapi;
        self.openapi.as_ref().unwrap_or_else(own)
    }

    /// Whether the models are those of a store, so that clients name them and records have roles.
    #[inline]
    #[must_use]
    pub fn is_of_store(&self) -> bool {
        self.tells_roles
    }

    /// All models, by name.
    #[must_use]
    pub fn models(&self) -> &[Arc<NamedModel>] {
        &self.models
    }

    /// Every version that is ready, of all models.
    pub fn versions(&self) -> impl Iterator<Item = &Arc<ModelVersion>> {
        self.models.iter().flat_map(|model| &model.ready)
    }

    /// A model by its name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Arc<NamedModel>> {
        let place = self.models.binary_search_by(|model| model.name.as_str().cmp(name));
        self.models.get(place.ok()?)
    }

    /// What a path means.
    ///
    /// # Errors
    /// When nothing has that name, or it is not loaded.
    pub fn choose(&self, name: &str, selected: Selected<'_>) -> Result<ModelChoice, ChoiceError> {
        self.find(name).ok_or(ChoiceError::Unknown)?.choose(selected)
    }
}
